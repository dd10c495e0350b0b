import { describe, expect, it } from 'vitest'
import { suspend, TerminalFailure, type AttemptId, type RunId } from '../../../src/tasks/index.js'
import { Bench, codeOf, leftovers, nothingLeft, openService, start, textOf } from './support.js'

describe('attempts', () => {
  it.each([1, 2, 3, 5])('[T-77] a run that always fails is tried %i times, then it has failed', async (maxAttempts) => {
    const service = await openService()
    let calls = 0
    service.tasks.handle('work', () => {
      calls += 1
      throw new Error(`no ${calls}`)
    })
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts } })
    await service.pass(5 * maxAttempts + 5)
    const error = `no ${maxAttempts}`
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'failed', error })
    expect(calls).toBe(maxAttempts)
    expect(service.run(taskId)).toMatchObject({ state: 'failed', attemptCount: maxAttempts })
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-77] a terminal failure ends the run whatever the cap', async () => {
    const service = await openService()
    service.tasks.handle('work', () => {
      throw new TerminalFailure('hopeless')
    })
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 9 } })
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'failed', error: 'hopeless' })
    const [attempt, ...others] = service.run(taskId).attempts
    expect(attempt?.outcome).toMatchObject({ result: 'failure', error: 'hopeless', failureClass: 'terminal' })
    expect(others).toEqual([])
  })

  it('[T-77] attempts that exceed their time count to the cap, and their signal aborts', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2, timeoutMs: 10_000 } })
    await service.pass(9)
    expect(bench.call(0).context.signal.aborted).toBe(false)
    await service.pass(2)
    expect(bench.call(0).context.signal.reason).toMatchObject({ code: 'attempt_aborted', data: { cause: 'timeout' } })
    expect(service.statesOf(taskId)).toEqual(['retry_wait'])
    await service.pass(30)
    const error = 'attempt exceeded its limit of 10000 milliseconds'
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'failed', error })
    expect(bench.calls).toHaveLength(2)
  })

  it('[T-77] an answer that comes after the time is up is a timeout, not a success', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { timeoutMs: 10_000 } })
    await service.settle()
    bench.last.context.signal.addEventListener('abort', () => bench.last.answer('too late'))
    await service.pass(10)
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'failed' })
    expect(service.run(taskId).attempts.map(({ outcome }) => outcome?.result)).toEqual(['timeout'])
  })

  it('[T-77] suspended attempts do not count to the cap', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    for (let suspension = 0; suspension < 3; suspension += 1) {
      await service.settle()
      expect(bench.last.context.attemptNumber).toBe(1)
      bench.last.answer(suspend())
      await service.settle()
      await service.tasks.resume(service.run(taskId).id)
    }
    await service.settle()
    bench.last.fail(new Error('first'))
    await service.pass(5)
    expect(bench.last.context.attemptNumber).toBe(2)
    bench.last.fail(new Error('second'))
    await service.settle()
    expect(service.run(taskId)).toMatchObject({ state: 'failed', attemptCount: 5 })
  })

  it('[T-87] suspend with maxAttempts 1, resume, succeed: completed after two calls', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 1 } })
    await service.settle()
    expect(bench.last.context.resumeFrom).toBeUndefined()
    bench.last.answer(suspend('half'))
    await service.pass(100)
    expect(service.statesOf(taskId)).toEqual(['suspended'])
    expect(bench.calls).toHaveLength(1)
    await service.tasks.resume(service.run(taskId).id)
    await service.settle()
    expect(textOf(bench.last.context.resumeFrom)).toBe('half')
    bench.last.answer('whole')
    const outcome = await service.tasks.outcome(taskId)
    expect(outcome.status).toBe('completed')
    expect(textOf(outcome.output)).toBe('whole')
    expect(bench.calls).toHaveLength(2)
  })

  it('[T-87] a running attempt is suspended on request, and what it left comes back after a restart', async () => {
    const before = await openService()
    const bench = new Bench()
    before.tasks.handle('work', bench.handler)
    const taskId = await before.tasks.submit({ kind: 'work' })
    await before.settle()
    const { context } = bench.last
    context.signal.addEventListener('abort', () => bench.last.answer(suspend('so far')))
    before.tasks.suspend(context.runId)
    await before.settle()
    expect(context.signal.reason).toMatchObject({ data: { cause: 'suspend_requested' } })
    expect(before.statesOf(taskId)).toEqual(['suspended'])

    const service = await before.crash({ seconds: 5 })
    const later = new Bench()
    service.tasks.handle('work', later.handler)
    await service.pass(10)
    expect(later.calls).toEqual([])
    await service.tasks.resume(context.runId)
    await service.settle()
    expect(textOf(later.last.context.resumeFrom)).toBe('so far')
    later.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed' })
  })

  it('[T-95] three attempts of one run, with their errors and the final output, equal after a restart', async () => {
    const service = await openService()
    const seen: { readonly runId: RunId; readonly attemptId: AttemptId }[] = []
    service.tasks.handle('work', ({ runId, attemptId, attemptNumber }) => {
      seen.push({ runId, attemptId })
      if (attemptNumber < 3) throw new Error(`attempt ${attemptNumber} broke`)
      return 'done'
    })
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 3 } })
    await service.pass(10)
    const run = service.run(taskId)
    expect(new Set(seen.map(({ runId }) => runId))).toEqual(new Set([run.id]))
    expect(new Set(seen.map(({ attemptId }) => attemptId)).size).toBe(3)
    expect(run.attempts.map(({ attemptId }) => attemptId)).toEqual(seen.map(({ attemptId }) => attemptId))
    expect(run.attempts.map(({ startedAtMs }) => startedAtMs - start)).toEqual([0, 5000, 10_000])
    expect(run.attempts.map(({ outcome }) => outcome)).toMatchObject([
      { result: 'failure', error: 'attempt 1 broke', failureClass: 'retryable', reason: 'threw' },
      { result: 'failure', error: 'attempt 2 broke', failureClass: 'retryable' },
      { result: 'success', output: 'ZG9uZQ==' },
    ])

    const reopened = await service.crash()
    expect(reopened.run(taskId)).toEqual(run)
    const outcome = await reopened.tasks.outcome(taskId)
    expect(outcome).toMatchObject({ status: 'completed', runs: [{ runId: run.id, attempts: 3 }] })
    expect(textOf(outcome.output)).toBe('done')
  })

  it('[T-99] a run left running by a crash is dispatched again with its id and a new attempt, and a higher token', async () => {
    const before = await openService()
    const old = new Bench()
    before.tasks.handle('work', old.handler)
    const taskId = await before.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await before.settle()
    const { runId, attemptId, fencingToken } = old.last.context

    const service = await before.crash({ seconds: 3 })
    expect(service.statesOf(taskId)).toEqual(['running'])
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await service.pass(5)
    expect(bench.calls).toHaveLength(1)
    expect(bench.last.context.runId).toBe(runId)
    expect(bench.last.context.attemptId).not.toBe(attemptId)
    expect(bench.last.context.fencingToken).toBeGreaterThan(fencingToken)
    // A loss is no failure of the handler, and counts apart.
    expect(bench.last.context.attemptNumber).toBe(1)
    bench.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed', runs: [{ attempts: 2 }] })
    expect(service.run(taskId).attempts[0]?.outcome).toEqual({ result: 'lost', error: 'the owner local was lost' })
  })

  it.each([
    [3, {}],
    [2, { maxLosses: 2 }],
  ])('[T-81] [T-99] the cap of losses holds: a run that is lost %i times in a row has failed', async (cap, losses) => {
    let service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', constraints: losses })
    await service.settle()
    for (let crash = 0; crash < 5; crash += 1) {
      service = await service.crash({ seconds: 1 })
      service.tasks.handle('work', bench.handler)
      await service.pass(6)
    }
    expect(bench.calls).toHaveLength(cap)
    expect(service.run(taskId)).toMatchObject({ state: 'failed', attemptCount: cap })
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'failed', reason: 'lost' })
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-99] what ended otherwise between two losses begins their count anew, and a second loss in a row waits', async () => {
    let service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const constraints = { maxAttempts: 2, maxLosses: 3 }
    const taskId = await service.tasks.submit({ kind: 'work', constraints })
    await service.settle()
    const lose = async (seconds: number): Promise<void> => {
      service = await service.crash()
      service.tasks.handle('work', bench.handler)
      await service.pass(seconds)
    }
    await lose(0)
    expect(bench.calls).toHaveLength(2)
    await lose(4)
    expect(bench.calls).toHaveLength(2)
    await service.pass(1)
    expect(bench.calls).toHaveLength(3)
    bench.last.fail(new Error('broken'))
    await service.pass(5)
    expect(bench.last.context.attemptNumber).toBe(2)
    await lose(0)
    await lose(5)
    expect(bench.calls).toHaveLength(6)
    bench.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed', runs: [{ attempts: 6 }] })
  })

  it('[T-99] the lease of another owner is respected until it expires, then its run is taken back', async () => {
    const before = await openService({ dispatch: { owner: 'one', leaseMs: 30_000 } })
    const old = new Bench()
    before.tasks.handle('work', old.handler)
    const taskId = await before.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await before.settle()
    const service = await before.crash({ dispatch: { owner: 'two' } })
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await service.pass(29)
    expect(service.statesOf(taskId)).toEqual(['running'])
    await service.pass(1)
    expect(bench.calls).toHaveLength(1)
    expect(service.run(taskId).lease?.owner).toBe('two')
  })

  it('[T-99] a run left leased by a crash is ready again and costs no attempt', async () => {
    const before = await openService()
    await before.tasks.start()
    const taskId = await before.tasks.submit({ kind: 'work' })
    await before.settle()
    const { id: runId } = before.run(taskId)
    const atMs = start
    const move = { type: 'run_state_transition', runId, previousState: 'ready', newState: 'leased', atMs } as const
    await before.tasks.authority.submit(move)
    await before.tasks.authority.submit({
      type: 'lease_acquire',
      runId,
      owner: 'local',
      expiresAtMs: start + 300_000,
      atMs,
    })
    const service = await before.crash()
    expect(service.statesOf(taskId)).toEqual(['leased'])
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await service.settle()
    expect(bench.calls).toHaveLength(1)
    expect(bench.last.context).toMatchObject({ runId, attemptNumber: 1 })
    bench.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed', runs: [{ attempts: 1 }] })
  })

  it('[T-197] keeps its lease by heartbeats while the handler works, however long', async () => {
    const service = await openService({ dispatch: { leaseMs: 30_000 } })
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work' })
    await service.pass(300)
    expect(bench.calls).toHaveLength(1)
    expect(bench.last.context.signal.aborted).toBe(false)
    expect(service.run(taskId).lease?.expiresAtMs).toBeGreaterThan(start + 300_000)
    expect(service.run(taskId).lease?.fencingToken).toBe(bench.last.context.fencingToken)
    bench.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed' })
  })

  it('[T-197] is not taken for abandoned by its own process when the clock is set forward beyond its lease', async () => {
    const service = await openService({ dispatch: { leaseMs: 30_000 } })
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 3 } })
    await service.settle()
    service.clock.setWall(start + 5_000_000)
    // Makes the dispatcher look around before the next heartbeat.
    await service.tasks.submit({ kind: 'nobody handles this' })
    await service.settle()
    expect(service.projection.run(bench.last.context.runId)?.lease?.expiresAtMs).toBe(start + 30_000)
    await service.pass(90)
    expect(bench.calls).toHaveLength(1)
    expect(bench.last.context.signal.aborted).toBe(false)
    bench.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed', runs: [{ attempts: 1 }] })
  })

  it('[T-176] whose answer cannot be written down has failed, and says why', async () => {
    const service = await openService()
    service.tasks.handle('work', () => ({ count: 1n }))
    const taskId = await service.tasks.submit({ kind: 'work' })
    const outcome = await service.tasks.outcome(taskId)
    expect(outcome).toMatchObject({ status: 'failed' })
    expect(outcome.error).toContain('count: a bigint has no form in JSON')
  })

  it('[T-87] cannot be suspended unless it is running', async () => {
    const service = await openService()
    const taskId = await service.tasks.submit({ kind: 'work' })
    const { id } = service.run(taskId)
    expect(() => service.tasks.suspend(id)).toThrow(expect.objectContaining({ code: 'run_suspend_requires_running' }))
    expect(await codeOf(service.tasks.resume(id))).toBe('run_resume_requires_suspended')
  })

  describe('fencing', () => {
    /** A run whose lease somebody has taken away while its handler works. */
    async function openSuperseded() {
      const service = await openService()
      const bench = new Bench()
      service.tasks.handle('work', bench.handler)
      const taskId = await service.tasks.submit({
        kind: 'work',
        constraints: { maxAttempts: 2 },
        budgets: { token: 10 },
      })
      await service.settle()
      const { context } = bench.last
      const { id: runId, lease } = service.run(taskId)
      if (lease === undefined) throw new Error('no lease')
      const { owner, expiresAtMs } = lease
      const outcome = { result: 'failure', error: 'taken over', failureClass: 'retryable' } as const
      const moved = { previousState: 'running', newState: 'retry_wait', retryAtMs: start + 5000 } as const
      await service.tasks.authority.submitBatch([
        { type: 'lease_expire', runId, owner, expiresAtMs, atMs: start },
        { type: 'attempt_finish', runId, attemptId: context.attemptId, outcome, atMs: start },
        { type: 'run_state_transition', runId, ...moved, atMs: start },
      ])
      return { service, bench, taskId, context }
    }

    it('[T-148] the signal of a superseded worker aborts', async () => {
      const { service, context } = await openSuperseded()
      await service.settle()
      expect(context.signal.reason).toMatchObject({ code: 'attempt_aborted', data: { cause: 'superseded' } })
    })

    it('[T-148] whatever a superseded worker still does is refused', async () => {
      const { service, bench, context, taskId } = await openSuperseded()
      await service.pass(5)
      const { runId, fencingToken } = context
      expect(await codeOf(context.submit({ kind: 'work' }))).toBe('fencing_token_superseded')
      expect(await codeOf(context.budget.reserve('token', 1))).toBe('attempt_aborted')
      const { attemptId } = bench.call(1).context
      const stale = { runId, fencingToken, atMs: start + 5000 }
      const outcome = { result: 'success' } as const
      const finish = { type: 'attempt_finish', attemptId, outcome, ...stale } as const
      expect(await codeOf(service.tasks.authority.submit(finish))).toBe('fencing_token_superseded')
      const move = { type: 'run_state_transition', previousState: 'running', newState: 'completed', ...stale } as const
      expect(await codeOf(service.tasks.authority.submit(move))).toBe('fencing_token_superseded')
      expect(service.statesOf(taskId)).toEqual(['running'])
      expect(service.projection.taskCount).toBe(1)
      expect([...service.projection.budgetsOf(taskId)]).toMatchObject([{ consumed: 0, reserved: 0 }])
    })

    it('[T-148] the answer of a superseded worker does not count, that of its successor does', async () => {
      const { service, bench, taskId, context } = await openSuperseded()
      bench.call(0).answer('stale')
      await service.pass(5)
      expect(service.statesOf(taskId)).toEqual(['running'])
      expect(bench.call(1).context.fencingToken).toBeGreaterThan(context.fencingToken)
      bench.call(1).answer('fresh')
      const outcome = await service.tasks.outcome(taskId)
      expect(textOf(outcome.output)).toBe('fresh')
      expect(service.run(taskId).attempts.map((attempt) => attempt.outcome?.result)).toEqual(['failure', 'success'])
    })
  })
})
