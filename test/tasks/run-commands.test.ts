import { describe, expect, it } from 'vitest'
import { runStates, type RunState } from '../../src/tasks/index.js'
import { held, lease, move, reach, start, working } from './support/commands.js'
import { A1, R1, R2, T1 } from './support/ids.js'
import { given } from './support/specification.js'

const legal: Record<RunState, readonly RunState[]> = {
  scheduled: ['ready', 'cancelled'],
  ready: ['leased', 'cancelled'],
  leased: ['running', 'ready', 'cancelled'],
  running: ['retry_wait', 'suspended', 'completed', 'failed', 'cancelled'],
  retry_wait: ['ready', 'failed', 'cancelled'],
  suspended: ['ready', 'cancelled'],
  completed: [],
  failed: [],
  cancelled: [],
}

describe('run_state_transition', () => {
  it.each(runStates)('[T-30] from %s takes exactly the legal edges', async (from) => {
    for (const to of runStates) {
      const when = given(reach[from]).when(move(from, to, { atMs: 222 }))
      if (!legal[from].includes(to)) {
        await when.refuses('invalid_transition', { runId: R1, from, to })
        continue
      }
      await when.accepts({
        event: { type: 'run_state_changed', runId: R1, previousState: from, newState: to, atMs: 222 },
        applied: { type: 'run_state_transition', runId: R1, previousState: from, newState: to },
        then: (projection) => {
          expect(projection.run(R1)).toMatchObject({ state: to, lastStateChangeAtMs: 222 })
          expect(projection.run(R1)?.history.at(-1)).toEqual({ from, to, atMs: 222 })
        },
      })
    }
  })

  it('[T-9] keeps terminal states and does not skip states', async () => {
    await given(reach.completed)
      .when(move('completed', 'ready'))
      .refuses('invalid_transition', { runId: R1, from: 'completed', to: 'ready' })
    await given(reach.failed)
      .when(move('failed', 'running'))
      .refuses('invalid_transition', { runId: R1, from: 'failed', to: 'running' })
    for (const to of ['ready', 'leased', 'running', 'scheduled'] as const) {
      await given(reach.cancelled)
        .when(move('cancelled', to))
        .refuses('invalid_transition', { runId: R1, from: 'cancelled', to })
    }
    await given(reach.scheduled)
      .when(move('scheduled', 'running'))
      .refuses('invalid_transition', { runId: R1, from: 'scheduled', to: 'running' })
  })

  it('[T-8] refuses a wrong previous state before it looks at the edge', async () => {
    await given(reach.scheduled)
      .when(move('completed', 'ready'))
      .refuses('previous_state_mismatch', { runId: R1, expected: 'completed', actual: 'scheduled' })
    await given(reach.scheduled)
      .when(move('scheduled', 'ready', { runId: R2 }))
      .refuses('unknown_run', { runId: R2 })
  })

  it.each(['retry_wait', 'suspended', 'completed', 'failed'] as const)(
    '[T-27, T-142] refuses %s while an attempt is under way',
    (to) =>
      given(reach.running, start())
        .when(move('running', to))
        .refuses('attempt_still_active', { runId: R1, activeAttemptId: A1 }),
  )

  it('[T-142] drops an attempt unfinished when the run is cancelled', () =>
    given(reach.running, start())
      .when(move('running', 'cancelled', { atMs: 300 }))
      .accepts({
        then: (projection) => {
          const run = projection.run(R1)
          expect(run?.currentAttemptId).toBeUndefined()
          expect(run?.attempts).toEqual([{ attemptId: A1, startedAtMs: 120 }])
        },
      }))

  it.each(['retry_wait', 'suspended'] as const)('[T-27, T-143] refuses %s while the lease is held', (to) =>
    given(held, move('leased', 'running', { fencingToken: 5 }))
      .when(move('running', to, { fencingToken: 5 }))
      .refuses('lease_still_held', { runId: R1, owner: 'worker' }),
  )

  it('[T-27, T-143] refuses to make a leased run ready past its lease', () =>
    given(held)
      .when(move('leased', 'ready', { fencingToken: 5 }))
      .refuses('lease_still_held', { runId: R1, owner: 'worker' }))

  it('[T-43] drops the lease with the end of the run', () =>
    given(held, move('leased', 'running', { fencingToken: 5 }))
      .when(move('running', 'completed', { fencingToken: 5 }))
      .accepts({
        then: (projection) => {
          expect(projection.run(R1)?.lease).toBeUndefined()
          expect([...projection.leased()]).toEqual([])
          expect(projection.task(T1)?.progress).toEqual({ runs: 1, open: 0, completed: 1, failed: 0 })
        },
      }))

  it('[T-130] remembers when a retry is due and forgets it afterwards', async () => {
    const waiting = [...reach.running, move('running', 'retry_wait', { retryAtMs: 900 })]
    await given(reach.running)
      .when(move('running', 'retry_wait', { retryAtMs: 900 }))
      .accepts({ then: (projection) => expect(projection.nextRetryAtMs()).toBe(900) })
    await given(waiting)
      .when(move('retry_wait', 'ready'))
      .accepts({ then: (projection) => expect(projection.run(R1)).not.toHaveProperty('retryAtMs') })
    await given(reach.scheduled)
      .when(move('scheduled', 'ready', { retryAtMs: 900 }))
      .isInvalid('retryAtMs')
  })
})

describe('run_suspend and run_resume', () => {
  it('[T-20] suspends a running run and keeps the reason', () =>
    given(reach.running)
      .when({ type: 'run_suspend', runId: R1, reason: 'make room', atMs: 150 })
      .accepts({
        event: { type: 'run_suspended', runId: R1, reason: 'make room', atMs: 150 },
        applied: { type: 'run_suspend', runId: R1 },
        then: (projection) =>
          expect(projection.run(R1)?.history.at(-1)).toEqual({
            from: 'running',
            to: 'suspended',
            atMs: 150,
            reason: 'make room',
          }),
      }))

  it('[T-20] names the state it met instead of running', async () => {
    for (const state of runStates.filter((state) => state !== 'running')) {
      await given(reach[state])
        .when({ type: 'run_suspend', runId: R1, atMs: 150 })
        .refuses('run_suspend_requires_running', { runId: R1, state })
    }
    await given().when({ type: 'run_suspend', runId: R1, atMs: 150 }).refuses('unknown_run', { runId: R1 })
  })

  it('[T-27, T-142] refuses to suspend while an attempt is under way', () =>
    given(reach.running, start())
      .when({ type: 'run_suspend', runId: R1, atMs: 150 })
      .refuses('attempt_still_active', { runId: R1, activeAttemptId: A1 }))

  it('[T-20] resumes a suspended run, and nothing else', async () => {
    await given(reach.suspended)
      .when({ type: 'run_resume', runId: R1, atMs: 160 })
      .accepts({
        event: { type: 'run_resumed', runId: R1, atMs: 160 },
        applied: { type: 'run_resume', runId: R1 },
        then: (projection) => expect(projection.run(R1)?.state).toBe('ready'),
      })
    for (const state of runStates.filter((state) => state !== 'suspended')) {
      await given(reach[state])
        .when({ type: 'run_resume', runId: R1, atMs: 160 })
        .refuses('run_resume_requires_suspended', { runId: R1, state })
    }
    await given().when({ type: 'run_resume', runId: R1, atMs: 160 }).refuses('unknown_run', { runId: R1 })
  })
})

describe('[T-146] fencing', () => {
  const required = { runId: R1 }

  it('[T-146] asks every worker of a leased run for the token of its lease', async () => {
    await given(held).when(move('leased', 'running')).refuses('fencing_token_required', required)
    await given(held, move('leased', 'running', { fencingToken: 5 }))
      .when(start())
      .refuses('fencing_token_required', required)
    const finishing = {
      type: 'attempt_finish',
      runId: R1,
      attemptId: A1,
      outcome: { result: 'success' },
      atMs: 1,
    } as const
    await given(working).when(finishing).refuses('fencing_token_required', required)
    const suspending = { type: 'run_suspend', runId: R1, atMs: 1 } as const
    await given(held, move('leased', 'running', { fencingToken: 5 }))
      .when(suspending)
      .refuses('fencing_token_required', required)
  })

  it('[T-146] refuses a worker whose lease was taken over', async () => {
    const takenOver = [
      ...held,
      lease('lease_expire'),
      move('ready', 'leased'),
      lease('lease_acquire', { owner: 'other' }),
    ]
    const superseded = { runId: R1, provided: 5, current: 8 }
    await given(takenOver)
      .when(move('leased', 'running', { fencingToken: 5 }))
      .refuses('fencing_token_superseded', superseded)
    await given(takenOver)
      .when(move('leased', 'running', { fencingToken: 8 }))
      .accepts()
    await given(takenOver)
      .when(lease('lease_heartbeat', { owner: 'other', expiresAtMs: 6000, fencingToken: 5 }))
      .refuses('fencing_token_superseded', superseded)
  })

  it('[T-146] refuses a worker whose lease ended while it worked', () =>
    given(working, lease('lease_expire'))
      .when({
        type: 'attempt_finish',
        runId: R1,
        attemptId: A1,
        outcome: { result: 'success' },
        fencingToken: 5,
        atMs: 1,
      })
      .refuses('fencing_token_superseded', { runId: R1, provided: 5, current: undefined }))

  it('[T-147] lets anybody cancel, but not in the name of a lease that is gone', async () => {
    await given(working).when(move('running', 'cancelled')).accepts()
    await given(working)
      .when(move('running', 'cancelled', { fencingToken: 4 }))
      .refuses('fencing_token_superseded', { runId: R1, provided: 4, current: 5 })
  })
})
