import { describe, expect, it } from 'vitest'
import { createRun, createTaskSpec, isTerminalRunState, suspend, type TaskId } from '../../../src/tasks/index.js'
import { runId, taskId as idOf } from '../support/ids.js'
import { Bench, leftovers, nothingLeft, openService, start, type Service } from './support.js'

/** Everything a snapshot would hold. */
const stateOf = ({ tasks }: Service): readonly object[] => [...tasks.authority.capture()]

/** Expects that a crash now loses nothing and invents nothing; gives back what comes after it. */
async function expectSurvival(before: Service): Promise<Service> {
  const state = stateOf(before)
  const { latestSequence } = before.projection
  const after = await before.crash()
  expect(stateOf(after)).toEqual(state)
  expect(after.projection.latestSequence).toBe(latestSequence)
  return after
}

describe('a crash', () => {
  it('[T-101] keeps tasks that have no runs yet', async () => {
    const before = await openService()
    const taskSpec = createTaskSpec({ id: idOf(1), kind: 'work' })
    await before.tasks.authority.submit({ type: 'task_create', taskSpec, atMs: start })
    const service = await expectSurvival(before)
    service.tasks.handle('work', () => 'done')
    await service.pass(2)
    expect(service.projection.runsOf(idOf(1))).toEqual([])
    const runInstance = createRun({ id: runId(1), taskId: idOf(1), createdAtMs: start, scheduledAtMs: start })
    await service.tasks.authority.submit({ type: 'run_create', runInstance })
    expect(await service.tasks.outcome(idOf(1))).toMatchObject({ status: 'completed' })
  })

  it('[T-101] finds a run in running as it was, and goes on with it', async () => {
    const before = await openService()
    const bench = new Bench()
    before.tasks.handle('work', bench.handler)
    const taskId = await before.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await before.settle()
    const service = await expectSurvival(before)
    expect(service.run(taskId)).toMatchObject({ state: 'running', currentAttemptId: bench.last.context.attemptId })
    service.tasks.handle('work', bench.handler)
    await service.pass(5)
    bench.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed', runs: [{ attempts: 2 }] })
  })

  it('[T-101] keeps a retry waiting until its time, not longer and not shorter', async () => {
    const before = await openService({ dispatch: { backoff: { type: 'fixed', delayMs: 20_000 } } })
    const bench = new Bench()
    before.tasks.handle('work', bench.handler)
    const taskId = await before.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await before.settle()
    bench.last.fail(new Error('broken'))
    await before.pass(7)
    const service = await expectSurvival(before)
    expect(service.run(taskId)).toMatchObject({ state: 'retry_wait', retryAtMs: start + 20_000 })
    service.tasks.handle('work', bench.handler)
    await service.pass(12)
    expect(bench.calls).toHaveLength(1)
    await service.pass(1)
    expect(bench.calls).toHaveLength(2)
  })

  it('[T-101] keeps a mix of ended and unfinished runs, three times in a row, and numbers on without a gap', async () => {
    let service = await openService({ dispatch: { concurrency: 3 } })
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    service.tasks.handle('quick', () => 'done')
    const done = await service.tasks.submit({ kind: 'quick', budgets: { token: 5 } })
    const cancelled = await service.tasks.submit({ kind: 'work', at: start + 9_000_000 })
    await service.tasks.cancel(cancelled)
    const suspended = await service.tasks.submit({ kind: 'work' })
    const failing = await service.tasks.submit({ kind: 'work' })
    const running = await service.tasks.submit({ kind: 'work', constraints: { maxLosses: 9 } })
    const later = await service.tasks.submit({ kind: 'quick', at: start + 60_000, dependsOn: [done] })
    await service.settle()
    bench.call(0).answer(suspend('half'))
    bench.call(1).fail(new Error('broken'))
    await service.settle()
    const states = [done, cancelled, suspended, failing, running, later].map((id) => service.run(id).state)
    expect(states).toEqual(['completed', 'cancelled', 'suspended', 'failed', 'running', 'scheduled'])
    for (let crash = 1; crash <= 3; crash += 1) {
      service = await expectSurvival(service)
      const { latestSequence } = service.projection
      const paused = { type: 'engine_pause', atMs: start } as const
      const resumed = { type: 'engine_resume', atMs: start } as const
      expect(await service.tasks.authority.submit(paused)).toMatchObject({ sequence: latestSequence + 1 })
      expect(await service.tasks.authority.submit(resumed)).toMatchObject({ sequence: latestSequence + 2 })
      service.tasks.handle('work', bench.handler)
      service.tasks.handle('quick', () => 'done')
      await service.pass(6)
      expect(bench.calls).toHaveLength(3 + crash)
    }
    bench.last.answer()
    await service.pass(60)
    await service.tasks.resume(service.run(suspended).id)
    await service.settle()
    bench.last.answer()
    await service.settle()
    expect(service.run(running).attemptCount).toBe(4)
    expect([running, suspended, later].map((id) => service.run(id).state)).toEqual([
      'completed',
      'completed',
      'completed',
    ])
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-101] loses none of many tasks, wherever they were', async () => {
    let service = await openService({ dispatch: { concurrency: 20, backoff: { type: 'fixed', delayMs: 0 } } })
    const taskIds: TaskId[] = []
    const constraints = { maxAttempts: 100 }
    for (let task = 0; task < 300; task += 1) taskIds.push(await service.tasks.submit({ kind: 'work', constraints }))
    const results = new Map<TaskId, number>()
    for (let crash = 0; crash < 10; crash += 1) {
      const { tasks, store, projection } = service
      let commits = 0
      tasks.authority.onCommit(() => {
        commits += 1
        if (commits === 37) store.crash()
      })
      tasks.handle('work', ({ taskId }) => void results.set(taskId, (results.get(taskId) ?? 0) + 1))
      await service.settle()
      // What the old process shows is what the new one finds.
      const ended = taskIds.filter((id) => isTerminalRunState(projection.runsOf(id)[0]?.state ?? 'ready'))
      service = await service.crash({ seconds: 1 })
      for (const id of ended) expect(service.statesOf(id)).toEqual(['completed'])
    }
    service.tasks.handle('work', ({ taskId }) => void results.set(taskId, (results.get(taskId) ?? 0) + 1))
    await service.settle()
    expect(new Set(taskIds.flatMap((id) => service.statesOf(id)))).toEqual(new Set(['completed']))
    expect(results.size).toBe(300)
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-173] [T-101] at every single commit of a life is survived, and the work is done in the end', async () => {
    const life = async (dieAt: number): Promise<number> => {
      const before = await openService({ dispatch: { backoff: { type: 'fixed', delayMs: 1000 } } })
      let commits = 0
      before.tasks.authority.onCommit(() => {
        commits += 1
        if (commits === dieAt) before.store.crash()
      })
      let attempts = 0
      const handleIn = ({ tasks }: Service): void => {
        tasks.handle('work', async ({ budget, attemptNumber }) => {
          attempts += 1
          const spending = await budget.reserve('token', 10)
          if (attemptNumber === 1) throw new Error('the first attempt breaks')
          await spending.settle(7)
        })
      }
      const ids = await before.tasks.submitGraph({
        root: { kind: 'root', budgets: { token: 1000 } },
        first: { kind: 'work', parent: 'root', constraints: { maxAttempts: 3, concurrencyKey: 'k' } },
        second: {
          kind: 'work',
          parent: 'root',
          dependsOn: ['first'],
          constraints: { maxAttempts: 3, concurrencyKey: 'k' },
        },
      })
      handleIn(before)
      await before.pass(4)
      const service = await before.crash({ seconds: 1 })
      handleIn(service)
      await service.pass(6)
      const [budget] = [...service.projection.budgetsOf(ids.root)]
      const { consumed = 0, reserved = 0 } = budget ?? {}
      const states = [ids.first, ids.second].flatMap((id) => service.statesOf(id))
      // The number goes with the rest, to be seen when it fails.
      expect({ dieAt, states, reserved }).toEqual({ dieAt, states: ['completed', 'completed'], reserved: 0 })
      // A crash costs at most one attempt, with what that one had settled or only reserved.
      expect({ dieAt, isRight: [14, 21, 24].includes(consumed) && attempts <= 5 }).toEqual({ dieAt, isRight: true })
      return commits
    }
    const commits = await life(Number.POSITIVE_INFINITY)
    expect(commits).toBeGreaterThan(12)
    for (let dieAt = 2; dieAt <= commits; dieAt += 1) await life(dieAt)
  })

  it('[T-198] after which the clock has gone back is survived too', async () => {
    const before = await openService()
    const bench = new Bench()
    before.tasks.handle('work', bench.handler)
    const running = await before.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    const cancelled = await before.tasks.submit({ kind: 'work', at: start + 9_000_000 })
    await before.pass(100)
    const late = await before.tasks.submit({ kind: 'work', at: start + 9_000_000 })
    await before.tasks.pauseEngine()
    const service = await before.crash({ seconds: -90 })
    service.tasks.handle('work', bench.handler)
    await service.settle()
    expect(await service.tasks.resumeEngine()).toBe('resumed')
    expect(await service.tasks.cancel(cancelled)).toBe('cancelled')
    expect(await service.tasks.cancel(late)).toBe('cancelled')
    await service.pass(100)
    bench.last.answer()
    expect(await service.tasks.outcome(running)).toMatchObject({ status: 'completed', runs: [{ attempts: 2 }] })
    await expectSurvival(service)
  })
})
