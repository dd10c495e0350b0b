import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { wireCodec } from '../../src/state/wire.js'

const schema = v.strictObject({
  taskId: v.string(),
  startedAtMs: v.exactOptional(v.number()),
  retryPolicy: v.variant('kindOfRetry', [
    v.strictObject({ kindOfRetry: v.literal('fixed_delay'), delayMs: v.number() }),
    v.strictObject({ kindOfRetry: v.picklist(['never', 'always']), atMost: v.nullable(v.number()) }),
  ]),
  priorAttempts: v.array(v.strictObject({ attemptId: v.string() })),
  byUserKey: v.record(v.string(), v.strictObject({ lastSeen: v.number() })),
  output: v.unknown(),
})

const value = {
  taskId: 't',
  startedAtMs: 5,
  retryPolicy: { kindOfRetry: 'always', atMost: null },
  priorAttempts: [{ attemptId: 'one' }],
  byUserKey: { camelCase: { lastSeen: 1 }, __proto__x: { lastSeen: 2 } },
  output: { leftAlone: { evenHere: true } },
}

const stored = {
  task_id: 't',
  started_at_ms: 5,
  retry_policy: { kind_of_retry: 'always', at_most: null },
  prior_attempts: [{ attempt_id: 'one' }],
  by_user_key: { camelCase: { last_seen: 1 }, __proto__x: { last_seen: 2 } },
  output: { leftAlone: { evenHere: true } },
}

describe('wire names', () => {
  const wire = wireCodec(schema)

  it('are snake_case for declared fields only', () => {
    expect(wire.encode(value)).toEqual(stored)
    expect(wire.decode(stored, 'thing')).toEqual(value)
  })

  it('leave absent fields out', () => {
    const { startedAtMs: _, ...rest } = value
    expect(Object.keys(wire.encode({ ...rest, startedAtMs: undefined }) as object)).not.toContain('started_at_ms')
  })

  it('leave out what the schema fills in, and only that very value', () => {
    const nothing = { tags: [] as string[] }
    const defaulted = wireCodec(
      v.strictObject({ tags: v.optional(v.number(), 7), thing: v.optional(v.unknown(), nothing) }),
    )
    expect(defaulted.encode({ tags: 7, thing: nothing })).toEqual({})
    expect(defaulted.encode({ tags: 8, thing: { tags: [] } })).toEqual({ tags: 8, thing: { tags: [] } })
  })

  it.each([
    [{ ...stored, taskId: 't' }, 'taskId'],
    [{ ...stored, retry_policy: { kind_of_retry: 'always', atMost: null } }, 'retry_policy.atMost'],
    [{ ...stored, prior_attempts: [{ attempt_id: 'one' }, { attemptId: 'two' }] }, 'prior_attempts.1.attemptId'],
    [{ ...stored, by_user_key: { some: { lastSeen: 1 } } }, 'by_user_key.some.lastSeen'],
    [JSON.parse('{ "__proto__": 1 }'), '__proto__'],
  ])('refuse a field that is not declared, naming it as it is spelt', (input, field) => {
    expect(() => wire.decode(input, 'thing')).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: { subject: 'thing', field, reason: 'unknown field' } }),
    )
  })

  it.each([[7], [null], ['text'], [[1]]])('leave %j for the schema to refuse', (input) => {
    expect(wire.decode(input, 'thing')).toEqual(input)
    expect(() => v.parse(schema, wire.decode(input, 'thing'))).toThrow(v.ValiError)
  })

  it('of an unknown option of a variant are left for the schema to refuse', () => {
    const decoded = wire.decode({ ...stored, retry_policy: { kind_of_retry: 'sometimes' } }, 'thing')
    expect(v.safeParse(schema, decoded).success).toBe(false)
  })

  it('are found at any depth of a schema that contains itself', () => {
    interface Tree {
      readonly leafCount: number
      readonly subTrees: readonly Tree[]
    }
    const tree: v.GenericSchema<unknown, Tree> = v.strictObject({
      leafCount: v.number(),
      subTrees: v.array(v.lazy(() => tree)),
    })
    const value = { leafCount: 1, subTrees: [{ leafCount: 2, subTrees: [{ leafCount: 3, subTrees: [] }] }] }
    const written = { leaf_count: 1, sub_trees: [{ leaf_count: 2, sub_trees: [{ leaf_count: 3, sub_trees: [] }] }] }
    const codec = wireCodec(tree)
    expect(codec.encode(value)).toEqual(written)
    expect(codec.decode(written, 'tree')).toEqual(value)
    expect(() => codec.decode({ ...written, sub_trees: [{ leafCount: 2 }] }, 'tree')).toThrow(
      expect.objectContaining({ data: expect.objectContaining({ field: 'sub_trees.0.leafCount' }) }),
    )
  })

  it.each([v.union([v.strictObject({ aB: v.string() }), v.string()]), v.tuple([v.strictObject({ aB: v.string() })])])(
    'are not guessed for a schema of another shape',
    (unclear) => {
      expect(() => wireCodec(unclear)).toThrow(expect.objectContaining({ code: 'wire_schema' }))
    },
  )
})
