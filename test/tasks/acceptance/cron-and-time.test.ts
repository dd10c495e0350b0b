import { describe, expect, it } from 'vitest'
import type { Backoff, TaskId } from '../../../src/tasks/index.js'
import { Bench, leftovers, nothingLeft, openService, start, type Service } from './support.js'

/** When the runs of a task are due, in seconds from the start, in order. */
function duesOf({ projection }: Service, taskId: TaskId): readonly number[] {
  const dues = projection.runsOf(taskId).map(({ scheduledAtMs }) => (scheduledAtMs - start) / 1000)
  return dues.toSorted((one, other) => one - other)
}

describe('time', () => {
  it.each(['one', 'another'])('[T-73] a lease of %s expires at exactly its expiry', async (owner) => {
    const before = await openService({ dispatch: { owner, leaseMs: 30_000 } })
    const bench = new Bench()
    before.tasks.handle('work', bench.handler)
    const taskId = await before.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await before.settle()
    expect(before.run(taskId).lease).toMatchObject({ owner, expiresAtMs: start + 30_000 })

    const service = await before.crash({ seconds: 10, dispatch: { owner: 'somebody else' } })
    await service.tasks.start()
    await service.pass(19)
    expect([...service.projection.expiredLeases(start + 29_000)]).toEqual([])
    expect(service.statesOf(taskId)).toEqual(['running'])
    await service.pass(1)
    expect(service.run(taskId)).toMatchObject({ state: 'ready', lastStateChangeAtMs: start + 30_000 })
  })

  it('[T-74] a run is promoted at its time, not one second earlier', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', at: start + 10_000 })
    await service.pass(9)
    expect(service.statesOf(taskId)).toEqual(['scheduled'])
    service.clock.advance(999)
    await service.settle()
    expect(service.statesOf(taskId)).toEqual(['scheduled'])
    service.clock.advance(1)
    await service.settle()
    expect(bench.calls).toHaveLength(1)
    expect(service.run(taskId).attempts[0]?.startedAtMs).toBe(start + 10_000)
  })

  it('[T-74] a run that is due at once, or in the past, starts at once', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await service.tasks.submit({ kind: 'work' })
    await service.tasks.submit({ kind: 'work', at: start - 500_000 })
    await service.settle()
    expect(bench.calls).toHaveLength(2)
  })

  it('[T-74] a clock that is set forward makes runs due within a minute, one set back starts nothing twice', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await service.tasks.submit({ kind: 'work', at: start + 50_000_000 })
    await service.pass(1)
    service.clock.setWall(start + 60_000_000)
    await service.pass(60)
    expect(bench.calls).toHaveLength(1)
    service.clock.setWall(start)
    bench.last.answer()
    await service.pass(60)
    expect(bench.calls).toHaveLength(1)
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-75] repeated runs are due at origin + i x interval, whatever the clock does', async () => {
    const before = await openService()
    before.tasks.handle('work', () => 'done')
    const runPolicy = { type: 'repeat', count: 5, intervalMs: 60_000 } as const
    const taskId = await before.tasks.submit({ kind: 'work', runPolicy, at: start + 7000 })
    await before.pass(70)
    before.clock.setWall(start + 20_000)
    await before.pass(10)
    const service = await before.crash({ seconds: 5000 })
    service.tasks.handle('work', () => 'done')
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed' })
    expect(duesOf(service, taskId)).toEqual([7, 67, 127, 187, 247])
  })

  it('[T-75] more repetitions than can be counted are refused and leave no run', async () => {
    const service = await openService()
    const runPolicy = { type: 'repeat', count: 3, intervalMs: Number.MAX_SAFE_INTEGER } as const
    await expect(service.tasks.submit({ kind: 'work', runPolicy })).rejects.toMatchObject({
      code: 'arithmetic_overflow',
      data: { policy: 'repeat' },
    })
    expect([service.projection.taskCount, service.projection.runCount]).toEqual([0, 0])
    expect(service.projection.latestSequence).toBe(0)
  })
})

describe('backoff', () => {
  /** Delays in milliseconds between the attempts of a run that fails each time. */
  async function delaysOf(backoff: Backoff, attempts: number, random = () => 0): Promise<readonly number[]> {
    const service = await openService({ dispatch: { backoff }, random })
    const starts: number[] = []
    service.tasks.handle('work', () => {
      starts.push(service.clock.wallNow())
      throw new Error('broken')
    })
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: attempts } })
    await service.settle()
    const { projection, clock } = service
    for (let dueAt = projection.nextRetryAtMs(); dueAt !== undefined; dueAt = projection.nextRetryAtMs()) {
      await service.jump((dueAt - clock.wallNow()) / 1000)
    }
    expect(service.statesOf(taskId)).toEqual(['failed'])
    return starts.slice(1).map((startedAtMs, index) => startedAtMs - (starts[index] ?? 0))
  }

  it('[T-78] doubles and caps, to the millisecond', async () => {
    const backoff = { type: 'exponential', baseMs: 1500, maxMs: 20_000 } as const
    expect(await delaysOf(backoff, 7)).toEqual([1500, 3000, 6000, 12_000, 20_000, 20_000])
  })

  it('[T-78] that is fixed stays, to the millisecond', async () => {
    expect(await delaysOf({ type: 'fixed', delayMs: 400 }, 4)).toEqual([400, 400, 400])
    expect(await delaysOf({ type: 'fixed', delayMs: 2000 }, 3)).toEqual([2000, 2000])
  })

  it('[T-78] of nothing retries at once', async () => {
    expect(await delaysOf({ type: 'fixed', delayMs: 0 }, 3)).toEqual([0, 0])
  })

  it('[T-78] of nothing stays nothing when doubled more often than a number can', async () => {
    const delays = await delaysOf({ type: 'exponential', baseMs: 0, maxMs: 10_000 }, 1030)
    expect([delays.length, new Set(delays)]).toEqual([1029, new Set([0])])
  })

  it('[T-78] takes its jitter from the injected randomness', async () => {
    const backoff = { type: 'exponential', baseMs: 8000, maxMs: 64_000, jitter: 0.5 } as const
    expect(await delaysOf(backoff, 4, () => 0)).toEqual([8000, 16_000, 32_000])
    expect(await delaysOf(backoff, 4, () => 0.5)).toEqual([6000, 12_000, 24_000])
  })

  it('[T-78] saturates: the end of an attempt is recorded however long the wait would be', async () => {
    const backoff = { type: 'exponential', baseMs: Number.MAX_VALUE, maxMs: Number.MAX_VALUE } as const
    const service = await openService({ dispatch: { backoff } })
    service.tasks.handle('work', () => {
      throw new Error('broken')
    })
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 3 } })
    await service.settle()
    expect(service.run(taskId)).toMatchObject({ state: 'retry_wait', retryAtMs: Number.MAX_SAFE_INTEGER })
    await service.jump(1_000_000)
    expect(service.statesOf(taskId)).toEqual(['retry_wait'])
    expect((await service.crash()).statesOf(taskId)).toEqual(['retry_wait'])
  })
})

describe('cron', () => {
  const everyTwentySeconds = { type: 'cron', expression: '*/20 * * * * * *' } as const

  it('[T-160] [T-162] derives five runs, the second of its origin included, and keeps five waiting', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', runPolicy: everyTwentySeconds })
    expect(duesOf(service, taskId)).toEqual([0, 20, 40, 60, 80])
    await service.settle()
    bench.last.answer()
    await service.settle()
    expect(duesOf(service, taskId)).toEqual([0, 20, 40, 60, 80, 100])
    await service.pass(20)
    bench.last.answer()
    await service.settle()
    expect(duesOf(service, taskId)).toEqual([0, 20, 40, 60, 80, 100, 120])
    expect(bench.calls).toHaveLength(2)
  })

  it('[T-161] stops at maxOccurrences and has then an outcome', async () => {
    const service = await openService()
    service.tasks.handle('work', () => 'done')
    const runPolicy = { ...everyTwentySeconds, maxOccurrences: 7 }
    const taskId = await service.tasks.submit({ kind: 'work', runPolicy })
    await service.pass(200)
    expect(duesOf(service, taskId)).toEqual([0, 20, 40, 60, 80, 100, 120])
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed' })
  })

  it('[T-82] catches up after a downtime without skipping, where it is to', async () => {
    const before = await openService()
    const runPolicy = { ...everyTwentySeconds, catchUp: 'all', maxOccurrences: 20 } as const
    const taskId = await before.tasks.submit({ kind: 'work', runPolicy })
    const service = await before.crash({ seconds: 10_000 })
    const ran: number[] = []
    service.tasks.handle('work', ({ runId }) => {
      ran.push(((service.projection.run(runId)?.scheduledAtMs ?? 0) - start) / 1000)
    })
    await service.tasks.outcome(taskId)
    expect(ran.toSorted((one, other) => one - other)).toEqual(Array.from({ length: 20 }, (_, index) => 20 * index))
  })

  it('[T-160] a cancelled task gets no further runs, also after a restart', async () => {
    const before = await openService()
    before.tasks.handle('work', () => 'done')
    const taskId = await before.tasks.submit({ kind: 'work', runPolicy: everyTwentySeconds })
    await before.pass(25)
    await before.tasks.cancel(taskId)
    const { runCount } = before.projection
    const service = await before.crash()
    service.tasks.handle('work', () => 'done')
    await service.pass(100)
    expect(service.projection.runCount).toBe(runCount)
    expect(new Set(service.statesOf(taskId))).toEqual(new Set(['completed', 'cancelled']))
  })
})
