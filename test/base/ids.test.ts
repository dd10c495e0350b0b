import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createUuidSource, isNilUuid, isUuid, parseUuid } from '../../src/base/ids.js'

const zeros = (bytes: Uint8Array): void => void bytes.fill(0)

describe('a UUID v7 source', () => {
  it('spells time, version, counter, variant and random bits as RFC 9562 says', () => {
    const ids = createUuidSource({ now: () => 0x0192_3456_789a, random: (bytes) => void bytes.fill(0xff) })
    expect([ids.uuid(), ids.uuid()]).toEqual([
      '01923456-789a-707f-bfff-ffffffffffff',
      '01923456-789a-7080-bfff-ffffffffffff',
    ])
  })

  it('keeps text order equal to creation order however the clock moves', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 80 }), (steps) => {
        let now = 1_700_000_000_000
        const ids = createUuidSource({ now: () => now })
        const made = steps.map((step) => {
          now += step
          return ids.uuid()
        })
        expect(made).toEqual(made.toSorted())
        expect(new Set(made).size).toBe(made.length)
      }),
    )
  })

  it('stays in order past the 4,096 ids that one millisecond can number', () => {
    const ids = createUuidSource({ now: () => 1000, random: zeros })
    const made = Array.from({ length: 10_000 }, () => ids.uuid())
    expect(made).toEqual(made.toSorted())
    expect(new Set(made).size).toBe(10_000)
  })

  it('draws fresh random bits for every id', () => {
    const ids = createUuidSource({ now: () => 1000 })
    const tails = Array.from({ length: 2000 }, () => ids.uuid().slice(19))
    expect(new Set(tails).size).toBe(2000)
  })

  it('makes what it recognises', () => {
    expect(isUuid(createUuidSource({ now: Date.now }).uuid())).toBe(true)
  })
})

describe('isUuid', () => {
  it.each([
    ['01923456-789a-707f-bfff-ffffffffffff', true],
    ['00000000-0000-0000-0000-000000000000', true],
    ['01923456-789A-707F-BFFF-FFFFFFFFFFFF', false],
    ['01923456789a707fbfffffffffffffff', false],
    ['01923456-789a-707f-bfff-ffffffffffff\n', false],
    ['', false],
    [undefined, false],
    [7, false],
  ])('answers for %j: %s', (value, answer) => {
    expect(isUuid(value)).toBe(answer)
  })

  it('tells the nil UUID apart', () => {
    expect(isNilUuid('00000000-0000-0000-0000-000000000000')).toBe(true)
    expect(isNilUuid('00000000-0000-0000-0000-000000000001')).toBe(false)
  })
})

describe('parseUuid', () => {
  it('gives the one spelling, lower case', () => {
    expect(parseUuid('01923456-789A-707F-BFFF-FFFFFFFFFFFF', 'operation id')).toBe(
      '01923456-789a-707f-bfff-ffffffffffff',
    )
  })

  it('refuses anything else, naming the subject and no more than 64 characters of it', () => {
    expect(() => parseUuid('x'.repeat(1000), 'operation id')).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        data: { subject: 'operation id', field: '$', reason: `not a UUID: "${'x'.repeat(64)}"` },
      }),
    )
  })
})
