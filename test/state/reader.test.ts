import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { StatewardError } from '../../src/base/errors.js'
import { decode } from '../../src/base/decode.js'
import { fastReader, storedReader, unread } from '../../src/state/reader.js'
import { wireCodec } from '../../src/state/wire.js'

const id = v.pipe(v.string(), v.minLength(1), v.maxLength(8), v.brand('Id'))
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(100))

const nothing = { number: 0 }

/** One field of every kind that the rooms use. */
const schema = v.strictObject({
  type: v.literal('thing_done'),
  thingId: id,
  times: count,
  share: v.pipe(v.number(), v.finite()),
  isLast: v.boolean(),
  result: v.picklist(['good', 'bad']),
  hexText: v.exactOptional(v.pipe(v.string(), v.regex(/^[0-9a-f]*$/))),
  evenCount: v.exactOptional(
    v.pipe(
      v.number(),
      v.integer(),
      v.check((number) => number % 2 === 0),
    ),
  ),
  limit: v.nullable(count),
  children: v.array(v.strictObject({ childId: id, dueAtMs: v.exactOptional(count) })),
  rule: v.variant('kindOf', [
    v.strictObject({ kindOf: v.literal('fixed'), delayMs: count }),
    v.strictObject({ kindOf: v.picklist(['never', 'always']), atMost: v.nullable(count) }),
  ]),
  byKey: v.record(v.string(), v.strictObject({ lastSeen: count })),
  filled: v.strictObject({ number: v.optional(v.number(), 7), sharedThing: v.optional(v.unknown(), nothing) }),
  /** The schema computes a default, so this part is left to it. */
  computed: v.strictObject({ number: v.optional(v.number(), () => 7) }),
  payload: v.unknown(),
  shape: v.custom<object>((value) => typeof value === 'object' && value !== null),
  either: v.union([v.string(), v.number()]),
})

const wire = wireCodec(schema)
const read = storedReader(schema)
const readFast = fastReader(schema)

const small = fc.integer({ min: 0, max: 100 })
const name = fc.string({ minLength: 1, maxLength: 8 })
const valid = fc.record(
  {
    type: fc.constant('thing_done'),
    thing_id: name,
    times: small,
    share: fc.double({ noNaN: true, noDefaultInfinity: true }),
    is_last: fc.boolean(),
    result: fc.constantFrom('good', 'bad'),
    hex_text: fc.constantFrom('', 'c0ffee'),
    even_count: small.map((number) => 2 * number),
    limit: fc.option(small),
    children: fc.array(fc.record({ child_id: name, due_at_ms: small }, { requiredKeys: ['child_id'] })),
    rule: fc.oneof(
      fc.record({ kind_of: fc.constant('fixed'), delay_ms: small }),
      fc.record({ kind_of: fc.constantFrom('never', 'always'), at_most: fc.option(small) }),
    ),
    by_key: fc.dictionary(name, fc.record({ last_seen: small })),
    filled: fc.record({ number: small, shared_thing: fc.jsonValue() }, { requiredKeys: [] }),
    computed: fc.record({ number: small }, { requiredKeys: [] }),
    payload: fc.jsonValue(),
    shape: fc.constant({ any: ['thing'] }),
    either: fc.oneof(name, small),
  },
  {
    requiredKeys: [
      ...(['type', 'thing_id', 'times', 'share', 'is_last', 'result', 'limit', 'children', 'rule', 'by_key'] as const),
      ...(['filled', 'computed', 'payload', 'shape', 'either'] as const),
    ],
  },
)

/** Values that are nearly right: somewhere something was put in, taken out or replaced. */
const damaged = fc
  .tuple(valid, fc.infiniteStream(fc.nat()), fc.jsonValue(), fc.constantFrom('replace', 'remove', 'add', 'array'))
  .map(([value, choices, other, how]) => {
    const copy = structuredClone(value) as object
    let place = copy as Record<string, unknown>
    for (;;) {
      const keys = Object.keys(place)
      const key = keys[choices.next().value % Math.max(1, keys.length)]
      const inner = key === undefined ? undefined : place[key]
      if (typeof inner === 'object' && inner !== null && choices.next().value % 2 === 0) {
        place = inner as Record<string, unknown>
        continue
      }
      if (how === 'add' || key === undefined) place[how === 'array' ? 'camelCase' : 'surplus'] = other
      else if (how === 'remove') delete place[key]
      else place[key] = how === 'array' ? [inner] : other
      return copy
    }
  })

function answerOf(reading: () => unknown): unknown {
  try {
    return { value: reading() }
  } catch (error) {
    if (!StatewardError.is(error)) throw error
    return { code: error.code, data: error.data }
  }
}

const bySchema = (stored: unknown): unknown => answerOf(() => decode(schema, wire.decode(stored, 'thing'), 'thing'))

describe('the reader of a stored value', () => {
  it('answers what the schema answers, value or error, for what is right and what is nearly right', () => {
    fc.assert(
      fc.property(fc.oneof(valid, damaged), (stored) => {
        expect(answerOf(() => read(stored, 'thing'))).toEqual(bySchema(stored))
      }),
      { numRuns: 2_000 },
    )
  })

  it('never takes by its own checks what the schema refuses, nor makes something else of it', () => {
    fc.assert(
      fc.property(damaged, (stored) => {
        const value = readFast(stored)
        if (value !== unread) expect({ value }).toEqual(bySchema(stored))
      }),
      { numRuns: 2_000 },
    )
  })

  it('fills in the very value that the schema names, for all to share', () => {
    const filled = fastReader(v.strictObject({ thing: v.optional(v.unknown(), nothing) }))({})
    expect((filled as { thing: unknown }).thing).toBe(nothing)
  })

  it('takes what is right by its own checks', () => {
    fc.assert(fc.property(valid, (stored) => readFast(stored) !== unread))
  })

  it.each([null, 5, 'text', [], {}, [{}]])('refuses %j like the schema', (stored) => {
    expect(answerOf(() => read(stored, 'thing'))).toEqual(bySchema(stored))
    expect(readFast(stored)).toBe(unread)
  })

  it('reads by its own checks what is right, unless a part needs the schema', () => {
    const plain = v.strictObject({
      thingId: id,
      limit: v.nullable(count),
      children: v.array(v.strictObject({ at: count })),
    })
    const readPlain = fastReader(plain)
    expect(readPlain({ thing_id: 'a', limit: null, children: [{ at: 1 }] })).toEqual({
      thingId: 'a',
      limit: null,
      children: [{ at: 1 }],
    })
    expect(readPlain({ thing_id: 'a', limit: -1, children: [] })).toBe(unread)
    expect(readPlain({ thing_id: '', limit: 1, children: [] })).toBe(unread)
    expect(readPlain({ thing_id: 'a', limit: 1, children: [{ at: 0.5 }] })).toBe(unread)
  })
})

it('checks fields that are left out, and does not hand them on, whichever way the value is read', () => {
  const thing = v.strictObject({ row: v.literal('thing'), size: v.number(), tag: v.exactOptional(v.string()) })
  // Only valibot can check a lazy part.
  const asked = v.strictObject({ ...thing.entries, size: v.lazy(() => v.number()) })
  for (const schema of [thing, asked]) {
    const readRest = storedReader<unknown>(schema, ['row'])
    expect(readRest({ row: 'thing', size: 3 }, 'thing')).toEqual({ size: 3 })
    expect(readRest({ row: 'thing', size: 3, tag: 'x' }, 'thing')).toEqual({ size: 3, tag: 'x' })
    for (const bad of [{ size: 3 }, { row: 'other', size: 3 }]) {
      expect(() => readRest(bad, 'thing')).toThrow(
        expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field: 'row' }) }),
      )
    }
  }
})
