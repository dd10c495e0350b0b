import { describe, expect, it } from 'vitest'
import { defineTask, TerminalFailure } from '../../../src/index.js'
import { createDeferred, type Deferred } from '../../../src/base/promises.js'
import type { SubmitInput } from '../../../src/tasks/index.js'
import { openRoom, type Room } from './support/room.js'

/** Work that goes on until it is let go. */
function startedWork(): { readonly running: Deferred<void>[]; readonly work: () => Promise<void> } {
  const running: Deferred<void>[] = []
  const work = (): Promise<void> => {
    const deferred = createDeferred<void>()
    running.push(deferred)
    return deferred.promise
  }
  return { running, work }
}

async function submitMany(room: Room, kind: string, count: number): Promise<void> {
  await room.tasks.submitGraph(Object.fromEntries(Array.from({ length: count }, (_, n) => [`${kind}${n}`, { kind }])))
}

describe('the slots of a kind', () => {
  it('[T-215] are as many as its definition says; other kinds pass, and the next starts when one ends', async () => {
    const room = await openRoom({ dispatch: { concurrency: 4 } })
    const few = startedWork()
    const many = startedWork()
    room.tasks.handle(defineTask('few', { concurrency: 2 }, few.work))
    room.tasks.handle('many', many.work)
    await submitMany(room, 'few', 5)
    await submitMany(room, 'many', 5)
    await room.settle()
    expect([few.running.length, many.running.length]).toEqual([2, 2])
    for (let ended = 0; ended < 5; ended += 1) {
      few.running[ended]?.resolve()
      await room.settle()
      expect(few.running).toHaveLength(Math.min(5, ended + 3))
    }
    expect(many.running).toHaveLength(4)
    for (const run of many.running) run.resolve()
    await room.settle()
    expect(many.running).toHaveLength(5)
  })

  it('[T-215] go on to the next when the first in line is cancelled, fails to start or waits for something else', async () => {
    const room = await openRoom()
    const { running, work } = startedWork()
    room.tasks.handle('work', work, { concurrency: 1, reserve: { token: 10 } })
    await room.tasks.submit({ kind: 'work' })
    await room.settle()
    const poor = await room.tasks.submit({ kind: 'work', budgets: { token: 5 } })
    const cancelled = await room.tasks.submit({ kind: 'work' })
    await room.tasks.submit({ kind: 'work' })
    await room.settle()
    await room.tasks.cancel(cancelled)
    expect(running).toHaveLength(1)
    running[0]?.resolve()
    await room.settle()
    expect(running).toHaveLength(2)
    expect(room.statesOf(poor)).toEqual(['ready'])
    expect(room.tasks.why(room.runsOf(poor)[0]?.id as never)).toEqual({ by: 'budget', taskId: poor })
  })

  it('[T-215] go on to the next when the one let in front has lost its key to another kind', async () => {
    const room = await openRoom()
    const { running, work } = startedWork()
    room.tasks.handle('work', work, { concurrency: 1 })
    room.tasks.handle('other', startedWork().work)
    await room.tasks.submit({ kind: 'work' })
    await room.settle()
    const key = { constraints: { concurrencyKey: 'k' } }
    const keyed = await room.tasks.submit({ kind: 'work', ...key })
    const plain = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    await room.tasks.submit({ kind: 'other', ...key })
    await room.settle()
    running[0]?.resolve()
    await room.settle()
    expect([room.statesOf(keyed), room.statesOf(plain)]).toEqual([['ready'], ['running']])
  })

  it('[T-216] start no more often than its rate says', async () => {
    const room = await openRoom({ dispatch: { concurrency: 100 } })
    const starts: number[] = []
    room.tasks.handle(
      defineTask('work', { rate: { starts: 2, perMs: 10_000 } }, () => void starts.push(room.clock.wallNow())),
    )
    const from = room.clock.wallNow()
    await submitMany(room, 'work', 5)
    await room.pass(30)
    expect(starts.map((at) => at - from)).toEqual([0, 0, 10_000, 10_000, 20_000])
  })

  it('[T-216] the next attempt of a run counts as a start', async () => {
    const room = await openRoom({ dispatch: { backoff: { type: 'fixed', delayMs: 0 } } })
    let starts = 0
    const work = defineTask('work', { rate: { starts: 1, perMs: 60_000 }, maxAttempts: 2 }, () => {
      starts += 1
      throw new Error('again')
    })
    room.tasks.handle(work)
    const { id } = await room.tasks.submit(work)
    await room.pass(59)
    expect([starts, room.statesOf(id)]).toEqual([1, ['ready']])
    await room.pass(2)
    expect([starts, room.statesOf(id)]).toEqual([2, ['failed']])
  })

  it('cost the same however many stand in line', async () => {
    const room = await openRoom()
    let calls = 0
    room.tasks.handle('work', () => void (calls += 1), { concurrency: 1 })
    await submitMany(room, 'work', 3000)
    const before = process.cpuUsage()
    await room.tasks.submit({ kind: 'work' })
    await room.settle()
    expect(calls).toBe(3001)
    // Each end looking at all that wait would be nine million looks.
    expect(process.cpuUsage(before).user).toBeLessThan(10_000_000)
  })
})

describe('a run that does not start', () => {
  it('[T-217] says why', async () => {
    const room = await openRoom({ dispatch: { concurrency: 2, capabilities: ['gpu'] } })
    const { tasks } = room
    const { work } = startedWork()
    const whyOf = async (input: SubmitInput) => {
      const id = await tasks.submit(input)
      await room.settle()
      return tasks.why(room.runsOf(id)[0]?.id as never)
    }
    expect(await whyOf({ kind: 'work' })).toEqual({ by: 'dispatch' })
    tasks.handle('work', work, { concurrency: 1 })
    tasks.handle('rated', () => 1, { rate: { starts: 1, perMs: 5000 } })
    await room.settle()
    const [running] = room.authority.projection.runsIn('running')
    expect(tasks.why(running?.id as never)).toEqual({ by: 'state', state: 'running' })
    expect(await whyOf({ kind: 'work' })).toEqual({ by: 'slots', limit: 1, kind: 'work' })
    expect(await whyOf({ kind: 'wrok' })).toEqual({ by: 'handler', kind: 'wrok' })
    expect(await whyOf({ kind: 'rated' })).toEqual({ by: 'state', state: 'completed' })
    expect(await whyOf({ kind: 'rated' })).toEqual({ by: 'rate', kind: 'rated', forMs: 5000 })
    expect(await whyOf({ kind: 'work', at: room.clock.wallNow() + 60_000 })).toEqual({
      by: 'time',
      atMs: room.clock.wallNow() + 60_000,
    })
    expect(await whyOf({ kind: 'rated', constraints: { requiredCapabilities: ['gpu', 'tpu'] } })).toEqual({
      by: 'capabilities',
      missing: ['tpu'],
    })
    const open = await tasks.submit({ kind: 'wrok' })
    expect(await whyOf({ kind: 'work', after: [open] })).toEqual({ by: 'prerequisites', taskIds: [open] })
    tasks.handle('keyed', work)
    await tasks.submit({ kind: 'keyed', constraints: { concurrencyKey: 'k' } })
    expect(await whyOf({ kind: 'keyed', constraints: { concurrencyKey: 'k' } })).toEqual({ by: 'key', key: 'k' })
    expect(await whyOf({ kind: 'keyed' })).toEqual({ by: 'slots', limit: 2 })
    await tasks.pauseEngine()
    expect(await whyOf({ kind: 'work' })).toEqual({ by: 'engine' })
    expect(() => tasks.why('00000000-0000-4000-8000-000000000001' as never)).toThrow(
      expect.objectContaining({ code: 'unknown_run' }),
    )
  })

  it('[T-217] says what has put it aside, and when it is tried again', async () => {
    const room = await openRoom({ dispatch: { backoff: { type: 'fixed', delayMs: 7000 } } })
    room.tasks.handle('failing', () => {
      throw new Error('again')
    })
    const id = await room.tasks.submit({ kind: 'failing', constraints: { maxAttempts: 2 } })
    await room.settle()
    const runId = room.runsOf(id)[0]?.id as never
    expect(room.tasks.why(runId)).toEqual({ by: 'time', atMs: room.clock.wallNow() + 7000 })
    room.tasks.handle('spending', async ({ budget }) => {
      await budget.reserve('token', 10)
    })
    const spending = await room.tasks.submit({ kind: 'spending', budgets: { token: 5 } })
    await room.settle()
    expect(room.tasks.why(room.runsOf(spending)[0]?.id as never)).toEqual({
      by: 'suspension',
      reason: 'budget_exhausted',
    })
  })
})

describe('a kind that nobody handles', () => {
  const told = 'a run is ready and nobody handles its kind: it waits until a handler is registered'

  it('[T-218] is told once, and not where its handler comes soon', async () => {
    const room = await openRoom()
    room.tasks.handle('other', () => 1)
    await submitMany(room, 'late', 3)
    await submitMany(room, 'soon', 3)
    await room.settle()
    room.tasks.handle('soon', () => 1)
    await room.pass(3)
    expect(room.warnings).toEqual([told])
    const registration = room.tasks.handle('late', () => {
      throw new TerminalFailure('no')
    })
    await room.settle()
    registration[Symbol.dispose]()
    await submitMany(room, 'late', 1)
    await room.pass(3)
    expect(room.warnings).toEqual([told, told])
  })
})
