import { describe, expect, it } from 'vitest'
import type { RunId } from '../../../src/tasks/index.js'
import { taskId as idOf } from '../support/ids.js'
import { Bench, createRandom, leftovers, nothingLeft, openService, start } from './support.js'

describe('workers', () => {
  it.each([1, 4, 8])(
    '[T-80] %i workers complete 150 tasks, each dispatched once, and nothing is left running',
    async (concurrency) => {
      const service = await openService({ dispatch: { concurrency } })
      const dispatched: RunId[] = []
      let running = 0
      let mostRunning = 0
      service.tasks.handle('work', async ({ runId }) => {
        dispatched.push(runId)
        running += 1
        mostRunning = Math.max(mostRunning, running)
        await service.runtime.flush()
        running -= 1
      })
      const taskIds = await Promise.all(Array.from({ length: 150 }, () => service.tasks.submit({ kind: 'work' })))
      const outcomes = await Promise.all(taskIds.map((id) => service.tasks.outcome(id)))
      expect(outcomes.map(({ status }) => status)).toEqual(Array.from({ length: 150 }, () => 'completed'))
      expect(dispatched).toHaveLength(150)
      expect(new Set(dispatched).size).toBe(150)
      expect(mostRunning).toBe(concurrency)
      expect(service.projection.countIn('completed')).toBe(150)
      expect(leftovers(service)).toEqual(nothingLeft)
    },
  )

  it.each([1, 2, 3, 4, 5])('[T-81] dispatches never exceed runs x maxAttempts (policies of seed %i)', async (seed) => {
    const random = createRandom(seed)
    const upTo = (limit: number): number => Math.floor(random() * limit)
    const service = await openService({
      random,
      dispatch: { backoff: { type: 'exponential', baseMs: 500, maxMs: 4000, jitter: 0.5 } },
    })
    const dispatches = new Map<RunId, number>()
    service.tasks.handle('work', ({ runId }) => {
      dispatches.set(runId, (dispatches.get(runId) ?? 0) + 1)
      if (upTo(2) === 0) throw new Error('by chance')
    })
    const caps = new Map<string, number>()
    let runs = 0
    for (let task = 0; task < 20; task += 1) {
      const count = 1 + upTo(3)
      const maxAttempts = 1 + upTo(4)
      const runPolicy =
        count === 1
          ? ({ type: 'once' } as const)
          : ({ type: 'repeat', count, intervalMs: 1000 * (1 + upTo(4)) } as const)
      caps.set(await service.tasks.submit({ kind: 'work', runPolicy, constraints: { maxAttempts } }), maxAttempts)
      runs += count
    }
    await service.pass(40)
    expect(dispatches.size).toBe(runs)
    let retries = 0
    for (const [runId, count] of dispatches) {
      const run = service.projection.run(runId)
      expect(count).toBe(run?.attemptCount)
      expect(count).toBeLessThanOrEqual(caps.get(run?.taskId ?? '') ?? 0)
      retries += count - 1
    }
    // Otherwise nothing was retried and the cap was never near.
    expect(retries).toBeGreaterThan(0)
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-82] the first look after a long downtime promotes every overdue run', async () => {
    const before = await openService()
    for (let index = 0; index < 600; index += 1) await before.tasks.submit({ kind: 'work', at: start + 1000 * index })
    const service = await before.crash({ seconds: 1000 })
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await service.settle()
    expect(service.projection.countIn('scheduled')).toBe(0)
    expect(service.projection.countIn('ready')).toBe(596)
    expect(bench.calls).toHaveLength(4)
  })

  it('[T-82] of a partially overdue set only those due are promoted', async () => {
    const before = await openService()
    for (let index = 0; index < 10; index += 1) await before.tasks.submit({ kind: 'work', at: start + 100_000 * index })
    const service = await before.crash({ seconds: 450 })
    await service.tasks.start()
    await service.settle()
    const due = [...service.projection.ready()]
    expect(
      due.map(({ scheduledAtMs }) => (scheduledAtMs - start) / 1000).toSorted((one, other) => one - other),
    ).toEqual([0, 100, 200, 300, 400])
    expect(service.projection.countIn('scheduled')).toBe(5)
    expect(service.projection.nextScheduledAtMs()).toBe(start + 500_000)
  })

  it('[T-83] promoted runs are still ready after a crash, with the same ids, and then run', async () => {
    const before = await openService()
    await before.tasks.start()
    for (let task = 0; task < 5; task += 1) await before.tasks.submit({ kind: 'work' })
    await before.settle()
    const promoted = Array.from(before.projection.ready(), ({ id }) => id)
    expect(promoted).toHaveLength(5)
    const service = await before.crash()
    expect(Array.from(service.projection.ready(), ({ id }) => id)).toEqual(promoted)
    const dispatched: RunId[] = []
    service.tasks.handle('work', ({ runId }) => void dispatched.push(runId))
    await service.settle()
    expect(dispatched).toEqual(promoted)
    expect(service.projection.countIn('completed')).toBe(5)
  })

  it('[T-76] the more urgent start first, then the older, whatever the order of submission', async () => {
    const service = await openService({ dispatch: { concurrency: 1 } })
    const started: string[] = []
    const submit = (name: string, priority: number) =>
      service.tasks.submit({ kind: 'work', payload: name, metadata: { priority } })
    await submit('low', -5)
    await submit('plain', 0)
    await submit('urgent', 10)
    await service.pass(1)
    await submit('urgent but later', 10)
    await submit('most urgent', 11)
    service.tasks.handle('work', ({ payload }) => void started.push(Buffer.from(payload).toString()))
    await service.settle()
    expect(started).toEqual(['most urgent', 'urgent', 'urgent but later', 'plain', 'low'])
  })

  it('[T-202] submit once what carries its own id, however often they are told', async () => {
    const before = await openService()
    await before.tasks.submit({ kind: 'work', id: idOf(1) })
    const again = { code: 'task_already_exists', data: { taskId: idOf(1) } }
    await expect(before.tasks.submit({ kind: 'work', id: idOf(1) })).rejects.toMatchObject(again)
    const service = await before.crash()
    await expect(service.tasks.submit({ kind: 'work', id: idOf(1) })).rejects.toMatchObject(again)
    expect([service.projection.taskCount, service.projection.runCount]).toEqual([1, 1])
  })

  it('[T-168] leave runs of a kind alone that nobody handles, or nobody any more', async () => {
    const service = await openService()
    const bench = new Bench()
    const registration = service.tasks.handle('work', bench.handler)
    const thrown = expect.objectContaining({ code: 'handler_exists', data: { kind: 'work' } })
    expect(() => service.tasks.handle('work', bench.handler)).toThrow(thrown)
    registration[Symbol.dispose]()
    const taskId = await service.tasks.submit({ kind: 'work' })
    await service.pass(5)
    expect(service.statesOf(taskId)).toEqual(['ready'])
    service.tasks.handle('work', bench.handler)
    await service.settle()
    expect(bench.calls).toHaveLength(1)
  })

  it('[T-203] answer whoever waits for an outcome, until that one has had enough', async () => {
    const service = await openService()
    const taskId = await service.tasks.submit({ kind: 'work' })
    const patience = new AbortController()
    const waiting = service.tasks.outcome(taskId, { signal: patience.signal })
    const other = service.tasks.outcome(taskId)
    patience.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(service.tasks.outcome(idOf(9))).rejects.toMatchObject({ code: 'unknown_task' })
    service.tasks.handle('work', ({ json }) => json(), {})
    expect(await other).toMatchObject({ taskId, status: 'failed' })
  })

  it('[T-170] are refused options that make no sense, by name', async () => {
    const refused = [
      [{ concurrency: 0 }, 'tasks.concurrency'],
      [{ leaseMs: 2999 }, 'tasks.leaseMs'],
      [{ leaseMs: 86_400_001 }, 'tasks.leaseMs'],
      [{ owner: '' }, 'tasks.owner'],
      [{ stragglerLimitMs: -1 }, 'tasks.stragglerLimitMs'],
      [{ stragglerLimitMs: '5' as never }, 'tasks.stragglerLimitMs'],
      [{ backoff: { type: 'exponential', baseMs: 2, maxMs: 1 } }, 'tasks.backoff.baseMs'],
      [{ backoff: { type: 'fixed', delayMs: -1 } }, 'tasks.backoff.delayMs'],
    ] as const
    for (const [dispatch, field] of refused) {
      await expect(openService({ dispatch })).rejects.toMatchObject({ code: 'invalid_input', data: { field } })
    }
  })
})
