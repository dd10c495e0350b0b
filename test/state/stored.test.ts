import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { storedCodec } from '../../src/state/stored.js'

const codec = storedCodec(
  v.strictObject({
    version: v.literal(2),
    startedAtMs: v.number(),
    labels: v.record(v.string(), v.string()),
  }),
  { version: 2, subject: 'thing' },
)

describe('a stored codec', () => {
  const thing = { version: 2, startedAtMs: 7, labels: { ownName: 'x' } } as const
  const stored = { version: 2, started_at_ms: 7, labels: { ownName: 'x' } }

  it('writes the names of the wire and reads them back; what users name stays as it is', () => {
    expect(codec.encode(thing)).toEqual(stored)
    expect(codec.decode(stored)).toEqual(thing)
  })

  it.each([
    ['of an older version', { ...stored, version: 1 }, 'version', 'version 1, this program reads 2'],
    ['without a version', { started_at_ms: 7, labels: {} }, 'version', 'version undefined, this program reads 2'],
    ['with an unknown field', { ...stored, more: 1 }, 'more', 'unknown field'],
    ['with a wrong value', { ...stored, started_at_ms: 'x' }, 'startedAtMs', 'Expected number'],
  ])('refuses one %s, naming the field', (_, input, field, reason) => {
    expect(() => codec.decode(input as never)).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        data: expect.objectContaining({ subject: 'thing', field, reason: expect.stringContaining(reason) }),
      }),
    )
  })
})
