import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineTask, RetryLater, StatewardError, TaskFailed, TerminalFailure } from '../../src/index.js'
import { suspend } from '../../src/tasks/index.js'
import type { Schema } from '../../src/work/values.js'
import { openRoom } from './dispatch/support/room.js'

const schemas: readonly (readonly [library: string, topic: Schema<{ topic: string }>, text: Schema<string>])[] = [
  ['valibot', v.object({ topic: v.string() }), v.string()],
  ['zod', z.object({ topic: z.string() }), z.string()],
  ['arktype', type({ topic: 'string' }), type('string')],
]

/** Text of a number, as the number. */
const Count = v.pipe(v.string(), v.transform(Number))

describe('a definition', () => {
  it.each(schemas)('[T-205] checks inputs and outputs with the schemas of %s', async (_, topic, text) => {
    const room = await openRoom()
    const report = defineTask('report', { input: topic, output: text }, async (input) => `about ${input.topic}`)
    room.tasks.handle(report)
    const handle = await room.tasks.submit(report, { topic: 'cranes' })
    expect(await handle.result()).toBe('about cranes')
    await expect(room.tasks.submit(report, { topic: 5 as never })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { subject: 'input of report', field: 'topic' },
    })
    expect(room.authority.projection.taskCount).toBe(1)
  })

  it('[T-205] asks a schema that transforms on either side, and stores what was handed in', async () => {
    const room = await openRoom()
    const seen: unknown[] = []
    const double = defineTask('double', { input: Count, output: Count }, (count) => {
      seen.push(count)
      return String(count * 2)
    })
    room.tasks.handle(double)
    const handle = await room.tasks.submit(double, '21')
    expect(await handle.result()).toBe(42)
    expect(seen).toEqual([21])
    expect(Buffer.from((await handle.outcome()).output ?? []).toString()).toBe('42')
  })

  it('[T-205] fails for good, as refused, where a schema refuses what it finds', async () => {
    const room = await openRoom()
    let calls = 0
    const work = defineTask('work', { input: v.number(), output: v.number(), maxAttempts: 3 }, (input) => {
      calls += 1
      return input === 1 ? ('one' as unknown as number) : input
    })
    room.tasks.handle(work)
    const result = (await room.tasks.submit(work, 1)).result()
    await expect(result).rejects.toMatchObject({ code: 'task_failed', data: { reason: 'refused', attempts: 1 } })
    const byKind = await room.tasks.submit('work', 'no number')
    await expect(byKind.result()).rejects.toMatchObject({
      message: expect.stringContaining('input of work'),
      data: { reason: 'refused', attempts: 1, thrown: { name: 'ValueRefused', cause: { code: 'invalid_input' } } },
    })
    expect(calls).toBe(1)
  })

  it('[T-205] is called from another handler as it is submitted, and tried as often as it says', async () => {
    const room = await openRoom({ dispatch: { concurrency: 1, backoff: { type: 'fixed', delayMs: 0 } } })
    const double = defineTask('double', { input: Count, output: Count, maxAttempts: 2 }, (count, { attemptNumber }) => {
      if (attemptNumber === 1) throw new Error('once')
      return String(count * 2)
    })
    const echo = defineTask('echo', {}, (input: unknown) => input)
    const bytes = new Uint8Array([7])
    const parent = defineTask('parent', {}, async (_, { call }) => ({
      doubled: await call(double, '21'),
      text: await call(echo, '5'),
      tree: await call(echo, { bytes }),
      nothing: await call('echo'),
    }))
    for (const definition of [double, echo, parent]) room.tasks.handle(definition)
    const handle = await room.tasks.submit(parent)
    await room.pass(5)
    expect(await handle.result()).toEqual({ doubled: 42, text: '5', tree: { bytes } })
    const outcomes = Array.from(room.authority.projection.children(handle.id), (id) => room.runsOf(id)[0]?.attemptCount)
    expect(outcomes).toEqual([2, 1, 1, 1])
  })

  it('[T-206] carries how its tasks run; what a submission says counts before it', async () => {
    const room = await openRoom()
    const work = defineTask('work', { maxAttempts: 4, timeoutMs: 60_000 }, () => 1)
    const own = await room.tasks.submit(work, undefined, { constraints: { maxAttempts: 2 } })
    const plain = await room.tasks.submit(work)
    const constraints = [own, plain].map(({ id }) => room.authority.projection.task(id)?.spec.constraints)
    expect(constraints).toMatchObject([
      { maxAttempts: 2, timeoutMs: 60_000 },
      { maxAttempts: 4, timeoutMs: 60_000 },
    ])
  })

  it('[T-206] has a backoff of its own, and its handler may name the delay', async () => {
    const room = await openRoom({ dispatch: { backoff: { type: 'fixed', delayMs: 50_000 } } })
    const starts: number[] = []
    const work = defineTask(
      'work',
      { maxAttempts: 3, backoff: { type: 'fixed', delayMs: 2000 } },
      (_, { attemptNumber }) => {
        starts.push(room.clock.wallNow())
        if (attemptNumber === 1) throw new Error('once')
        if (attemptNumber === 2) throw new RetryLater(7000, 'rate limited')
        return 'done'
      },
    )
    room.tasks.handle(work)
    const handle = await room.tasks.submit(work)
    await room.pass(20)
    expect(await handle.result()).toBe('done')
    expect(starts.map((at) => at - (starts[0] ?? 0))).toEqual([0, 2000, 9000])
    const { runs } = await handle.outcome()
    expect(runs[0]?.attempts).toBe(3)
  })

  it.each([Number.NaN, -1, '5', 26 * 365.25 * 86_400_000])('RetryLater refuses %s milliseconds', (delay) => {
    expect(() => new RetryLater(delay as number)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
  })

  it('is refused without a name or a handler', () => {
    expect(() => defineTask('', {}, () => 1)).toThrow(expect.objectContaining({ code: 'empty_kind' }))
    expect(() => defineTask('x', {}, 5 as never)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
  })
})

describe('values', () => {
  const echo = defineTask('echo', {}, (input) => input)

  it.each([
    ['text', 'täxt'],
    ['no text', ''],
    ['bytes', new Uint8Array([0, 255])],
    ['no bytes', new Uint8Array()],
    ['a tree with bytes in it', { a: [1, null, true, { b: new Uint8Array([1]) }] }],
    ['what looks like bytes', { $bytes: 'AQ==' }],
    ['null', null],
    ['a number', -0.5],
    ['nothing', undefined],
    ['text with half a surrogate pair', 'a\ud800b'],
  ])('[T-207] %s goes in and comes out as it is', async (_, value) => {
    const room = await openRoom()
    room.tasks.handle(echo)
    const handle = await room.tasks.submit(echo, value)
    const plain = await room.tasks.submit({ kind: 'echo', payload: value })
    expect(await handle.result()).toEqual(value)
    expect(await room.tasks.find(echo, plain)?.result()).toEqual(value)
  })

  it('[T-207] of another content type are bytes, JSON is read', async () => {
    const room = await openRoom()
    room.tasks.handle(echo)
    const png = await room.tasks.submit({ kind: 'echo', payload: 'abc', contentType: 'image/png' })
    const json = await room.tasks.submit({ kind: 'echo', payload: { a: [1] }, contentType: 'application/json' })
    expect(await room.tasks.find('echo', png)?.result()).toEqual(new Uint8Array(Buffer.from('abc')))
    const bad = await room.tasks.submit({ kind: 'echo', payload: '{', contentType: 'application/json' })
    expect(await room.tasks.find('echo', json)?.result()).toEqual({ a: [1] })
    await expect(room.tasks.find('echo', bad)?.result()).rejects.toMatchObject({ data: { reason: 'refused' } })
  })
})

describe('a handle', () => {
  it('[T-208] throws why there is no result, with the cause that was thrown', async () => {
    const room = await openRoom()
    const deepInside = (): never => {
      throw Object.assign(new TypeError('no answer'), { code: 'rate_limited' })
    }
    room.tasks.handle('work', () => {
      try {
        return deepInside()
      } catch (cause) {
        throw new TerminalFailure('the model gave up', { cause })
      }
    })
    const handle = await room.tasks.submit('work')
    const failure = await handle.result().catch((thrown: unknown) => thrown as TaskFailed)
    expect(failure).toBeInstanceOf(TaskFailed)
    expect(StatewardError.is(failure, 'task_failed')).toBe(true)
    expect(failure).toMatchObject({
      message: 'work failed: the model gave up',
      data: { taskId: handle.id, kind: 'work', status: 'failed', reason: 'threw', attempts: 1 },
      cause: {
        name: 'TerminalFailure',
        message: 'the model gave up',
        code: 'terminal_failure',
        cause: { name: 'TypeError', message: 'no answer', code: 'rate_limited' },
      },
    })
    expect(((failure as TaskFailed).cause as Error & { cause: Error }).cause.stack).toContain('deepInside')
  })

  it('[T-208] tells a cancellation from a failure', async () => {
    const room = await openRoom()
    const handle = await room.tasks.submit('work')
    expect(await handle.cancel()).toBe('cancelled')
    await expect(handle.result()).rejects.toMatchObject({
      message: 'work was cancelled',
      data: { status: 'cancelled', reason: 'cancelled', attempts: 0 },
    })
    expect(await handle.cancel()).toBe('already_cancelled')
  })

  it('[T-208] gives up waiting in time or when it is told to; the task goes on', async () => {
    const room = await openRoom()
    const handle = await room.tasks.submit('work')
    const late = handle.result({ timeoutMs: 5000 })
    const controller = new AbortController()
    const given = handle.result({ timeoutMs: 5000, signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(given).rejects.toThrow('enough')
    await room.pass(5)
    await expect(late).rejects.toMatchObject({ code: 'result_timed_out', data: { taskId: handle.id, timeoutMs: 5000 } })
    room.tasks.handle('work', () => 'late')
    expect(await handle.result({ timeoutMs: 5000 })).toBe('late')
  })

  it('[T-208] is found again by definition and id, for that definition only', async () => {
    const room = await openRoom()
    const work = defineTask('work', {}, () => suspend())
    const { id } = await room.tasks.submit(work)
    expect(room.tasks.find(work, id)).toMatchObject({ id, kind: 'work', isNew: false })
    expect(room.tasks.find(work, '00000000-0000-4000-8000-000000000001' as never)).toBeUndefined()
    expect(() => room.tasks.find('other', id)).toThrow(expect.objectContaining({ code: 'kind_mismatch' }))
  })
})
