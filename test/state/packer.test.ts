import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createUuidSource } from '../../src/base/ids.js'
import { Packer } from '../../src/state/packer.js'

const ids = createUuidSource({ now: () => 1_700_000_000_000 })
const instant = 1_700_000_000_000

const value = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(null, true, false, 'completed', '', '\0', 'ÿ', 'Ā', '\ud800', instant, 2 ** 31, 2 ** 53 - 1),
    fc.integer({ min: -200, max: 400 }),
    fc.maxSafeNat(),
    fc.double({ noNaN: true }).map((number) => number + 0),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.string({ maxLength: 200 }),
    fc.uuid(),
  ),
  list: fc.array(tie('any'), { maxLength: 4 }),
  object: fc.dictionary(fc.oneof(fc.constantFrom('id', 'atMs', 'state'), fc.string()), tie('any'), { maxKeys: 6 }),
  any: fc.oneof({ depthSize: 'small' }, tie('leaf'), tie('list'), tie('object')),
})).any

describe('a packer', () => {
  it('gives back what it has packed, however much came in between', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 60 }), (values) => {
        const packer = new Packer()
        const texts = values.map((one) => packer.pack(one))
        // JSON has no object without a prototype, and no list with holes; neither has a row.
        expect(texts.map((text) => packer.unpack(text))).toEqual(values)
      }),
      { numRuns: 300 },
    )
  })

  it('keeps the order of keys, and leaves out what is undefined', () => {
    const packer = new Packer()
    const found = packer.unpack(packer.pack({ later: 1, gone: undefined, earlier: { b: 1, a: 2 } }))
    expect(JSON.stringify(found)).toBe('{"later":1,"earlier":{"b":1,"a":2}}')
    expect(Object.keys(found as object)).toEqual(['later', 'earlier'])
  })

  it('takes one byte per character: little of a row that is like others', () => {
    const packer = new Packer()
    const row = (): object => ({
      id: ids.uuid(),
      state: 'completed',
      attemptCount: 1,
      history: [
        { to: 'scheduled', atMs: instant },
        { from: 'scheduled', to: 'completed', atMs: instant + 5 },
      ],
    })
    packer.pack(row())
    const text = packer.pack(row())
    expect(text.length).toBeLessThan(50)
    expect(Math.max(...Array.from(text, (character) => character.charCodeAt(0)))).toBeLessThan(256)
  })

  it('remembers no more than so many words and shapes, whatever users make up', () => {
    const packer = new Packer()
    const rows = Array.from({ length: 6_000 }, (_, index) => ({ [`key ${index}`]: `word ${index}`, last: index }))
    const texts = rows.map((row) => packer.pack(row))
    expect(texts.map((text) => packer.unpack(text))).toEqual(rows)
  })

  it.each([[undefined], [() => 1], [Symbol('s')], [1n]])('refuses what no row is made of', (thing) => {
    expect(() => new Packer().pack([thing])).toThrow(TypeError)
  })
})

it('has room for every kind of value, wherever its buffer ends', () => {
  const uuid = '01890a5d-ac96-774b-bcce-b302099a8057'
  for (const value of [uuid, 0.5, 2 ** 52, { key: uuid }, ['word']]) {
    for (let length = 980; length < 1030; length += 1) {
      const list = [...Array.from({ length }, () => true), value]
      const packer = new Packer()
      expect(packer.unpack(packer.pack(list))).toEqual(list)
    }
  }
})
