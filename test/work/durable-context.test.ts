import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { durableConformance, type DurableWork } from '../../src/testing/durable-conformance.js'
import { createMemoryDurable } from './support/memory-durable.js'

durableConformance({ describe, it }, 'memory', async () => createMemoryDurable())

describe('a durable context', () => {
  it('checks answers, inputs and results by their schemas', async () => {
    const { run, answer, endCall, waiting } = createMemoryDurable()
    const Count = v.pipe(v.string(), v.transform(Number))
    await answer('count', '5')
    expect(await run((context) => context.waitFor('count', Count))).toBe(5)
    await answer('other', {})
    await expect(run((context) => context.waitFor('other', Count))).rejects.toMatchObject({
      code: 'invalid_input',
      data: { subject: 'answer to other' },
    })
    const callable = { kind: 'double', input: v.number(), output: Count }
    await expect(run((context) => context.call(callable, 'x' as never))).rejects.toMatchObject({
      data: { subject: 'input of double' },
    })
    const called = run((context) => context.call(callable, 2))
    await waiting()
    await endCall({ value: '4' })
    expect(await called).toBe(4)
  })

  it('keeps steps and questions of one name apart', async () => {
    const { run, crash, waiting, answer } = createMemoryDurable()
    void run((context) => context.waitFor('same'))
    await waiting()
    await crash()
    await answer('same', 'answer')
    const both = run(async (context) => [await context.step('same', () => 1), await context.waitFor('same')])
    expect(await both).toEqual([1, 'answer'])
  })

  it.each([
    ['', 'name'],
    ['a#2', 'name'],
    ['a\u0000', 'name'],
    ['x'.repeat(201), 'name'],
    [5, 'name'],
  ])('refuses the name %j', async (name, field) => {
    const { run } = createMemoryDurable()
    await expect(run((context) => context.step(name as string, () => 1))).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field },
    })
  })

  it.each([Number.NaN, -1, Number.POSITIVE_INFINITY, 1e16, '5'])('refuses the duration %s', async (duration) => {
    const { run } = createMemoryDurable()
    const bad = duration as number
    const refused = { code: 'invalid_input' }
    await expect(run((context) => context.sleep(bad))).rejects.toMatchObject(refused)
    await expect(run((context) => context.sleepUntil(bad))).rejects.toMatchObject(refused)
    await expect(run((context) => context.waitFor('a', undefined, { timeoutMs: bad }))).rejects.toMatchObject(refused)
  })

  it('refuses an instant more than 25 years away: seconds, or microseconds', async () => {
    const { run, advance } = createMemoryDurable()
    await advance(1_800_000_000_000)
    for (const instant of [1_800_000_000, 1_800_000_000_000_000, new Date(Number.NaN)]) {
      await expect(run((context) => context.sleepUntil(instant))).rejects.toMatchObject({
        code: 'invalid_input',
        data: { field: 'instant' },
      })
    }
  })

  it.each<[string, string, (context: DurableWork) => unknown]>([
    ['a step without a function', '$', (context) => context.step('a', 5 as never)],
    ['an unknown option of a step', 'reserved', (context) => context.step('a', () => 1, { reserved: {} } as never)],
    ['no options of a step', '$', (context) => context.step('a', () => 1, null as never)],
    ['amounts that are none', 'reserve', (context) => context.step('a', () => 1, { reserve: 5 as never })],
    ['a promise of amounts', 'spent', (context) => context.step('a', () => 1, { spent: async () => ({}) } as never)],
    ['a price that is no function', '$', (context) => context.step('a', () => 1, { spent: { token: 1 } as never })],
    ['options in place of a schema', 'schema', (context) => context.waitFor('a', { timeoutMs: 5 } as never)],
    ['an unknown option of a wait', 'timeout', (context) => context.waitFor('a', undefined, { timeout: 5 } as never)],
    ['a call of a kind without a name', 'kind', (context) => context.call('')],
    ['a call of a kind that is no text', 'kind', (context) => context.call({ kind: 5 } as never)],
    ['a call of nothing', 'kind', (context) => context.call(undefined as never)],
  ])('refuses %s, naming the field', async (_, field, handler) => {
    const { run } = createMemoryDurable()
    await expect(run(handler)).rejects.toMatchObject({ code: 'invalid_input', data: { field } })
  })

  it.each([
    ['has a "#"', 'a#2'],
    ['is long', 'x'.repeat(201)],
    ['has control characters', 'a\u0000'],
  ])('calls a kind whose name %s', async (_, kind) => {
    const { run, crash, endCall, waiting } = createMemoryDurable()
    void run((context) => context.call(kind, 1))
    await waiting()
    await crash()
    const again = run(async (context) => [await context.call(kind, 1), await context.step('a', () => 2)])
    await waiting()
    await endCall({ value: 'once' })
    expect(await again).toEqual(['once', 2])
  })

  it('knows a call by its input whatever the order of its keys', async () => {
    const { run, crash, endCall, waiting } = createMemoryDurable()
    void run((context) => context.call({ kind: 'a' }, { x: 1, y: 2 }))
    await waiting()
    await crash()
    const again = run((context) => context.call({ kind: 'a' }, { y: 2, x: 1 }))
    await waiting()
    await endCall({ value: 'once' })
    expect(await again).toBe('once')
    await expect(endCall({ value: 'twice' })).rejects.toThrow('nothing is called')
  })
})
