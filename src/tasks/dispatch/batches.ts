import { failed, type AttemptOutcome } from '../attempt.js'
import type { AttemptId, RunId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import type { Run, RunState } from '../run.js'
import type { Seconds, Timestamp } from '../scalars.js'
import type { TaskProjection } from '../view.js'
import type { AttemptIdentity, AttemptReport } from './running-attempt.js'

/** Decides after a failed attempt: the delay before the next one. */
export type RetryDelayOf = (effectiveAttempt: number) => Seconds

/** Attempts that count towards the cap: suspended ones do not (spec mutation authority 7.5). */
export function effectiveAttempts({ attempts }: Run): number {
  return attempts.filter(({ outcome }) => outcome?.result !== 'suspended').length
}

/** Claims a ready run and starts an attempt, all in one batch. `undefined` when the run is not ready any more. */
export function startAttempt(
  batch: TaskBatch,
  runId: RunId,
  claim: {
    readonly owner: string
    readonly expiry: Timestamp
    readonly attemptId: AttemptId
    readonly timestamp: Timestamp
  },
): AttemptIdentity | undefined {
  const run = batch.view.run(runId)
  if (run === undefined || run.state !== 'ready' || run.lease !== undefined) return undefined
  const { owner, expiry, attemptId, timestamp } = claim
  move(batch, run.id, 'ready', 'leased', timestamp)
  const { applied } = batch.submit({ type: 'lease_acquire', runId, owner, expiry, timestamp })
  const { fencingToken } = applied
  move(batch, run.id, 'leased', 'running', timestamp, { fencingToken })
  batch.submit({ type: 'attempt_start', runId, attemptId, fencingToken, timestamp })
  return { runId, taskId: run.taskId, attemptId, fencingToken }
}

/** Ends an attempt with all that follows from it: result, lease, next state and reservations are one change (D-25). */
export function finishAttempt(
  batch: TaskBatch,
  projection: TaskProjection,
  { runId, attemptId, fencingToken }: AttemptIdentity,
  { outcome, suspendReason }: AttemptReport,
  delayOf: RetryDelayOf,
  timestamp: Timestamp,
): RunState | undefined {
  const lease = batch.view.run(runId)?.lease
  batch.submit({ type: 'attempt_finish', runId, attemptId, outcome, fencingToken, timestamp })
  if (lease !== undefined) {
    const { owner, expiry } = lease
    batch.submit({ type: 'lease_release', runId, owner, expiry, fencingToken, timestamp })
  }
  for (const { reservationId } of [...projection.reservationsOf(runId)]) {
    if (batch.view.reservation(reservationId) === undefined) continue
    batch.submit({ type: 'budget_release', reservationId, timestamp })
  }
  return leaveRunning(batch, runId, outcome, suspendReason, delayOf, timestamp)
}

/**
 * Takes a run back from an owner that is gone. What it may have spent counts as spent: a budget must
 * not be exceeded because a worker died between its call and its receipt.
 */
export function recoverRun(
  batch: TaskBatch,
  projection: TaskProjection,
  runId: RunId,
  delayOf: RetryDelayOf,
  timestamp: Timestamp,
): void {
  const run = batch.view.run(runId)
  if (run?.lease === undefined) return
  const { owner, expiry } = run.lease
  batch.submit({ type: 'lease_expire', runId, owner, expiry, timestamp })
  if (run.state !== 'running') return
  for (const { reservationId, amount } of [...projection.reservationsOf(runId)]) {
    if (batch.view.reservation(reservationId) === undefined) continue
    batch.submit({ type: 'budget_settle', reservationId, amount, timestamp })
  }
  const outcome = failed(`the owner ${owner} was lost`, 'retryable')
  if (run.currentAttemptId !== undefined) {
    batch.submit({ type: 'attempt_finish', runId, attemptId: run.currentAttemptId, outcome, timestamp })
  }
  leaveRunning(batch, runId, outcome, undefined, delayOf, timestamp)
}

/** Moves runs that are still in one state to the next; the others are left alone. */
export function moveAll(
  batch: TaskBatch,
  runIds: readonly RunId[],
  from: RunState,
  to: RunState,
  timestamp: Timestamp,
): void {
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== from || (to !== 'canceled' && batch.view.task(run.taskId)?.canceledAt !== undefined)) continue
    move(batch, runId, from, to, timestamp)
  }
}

/** Cancels every run of the listed ones that has not ended; an open attempt is dropped. */
export function cancelRuns(batch: TaskBatch, runs: readonly Run[], timestamp: Timestamp): void {
  for (const { id, state } of runs) {
    if (state === 'completed' || state === 'failed' || state === 'canceled') continue
    move(batch, id, state, 'canceled', timestamp)
  }
}

function leaveRunning(
  batch: TaskBatch,
  runId: RunId,
  outcome: AttemptOutcome,
  suspendReason: string | undefined,
  delayOf: RetryDelayOf,
  timestamp: Timestamp,
): RunState | undefined {
  const run = batch.view.run(runId)
  if (run === undefined) return undefined
  switch (outcome.result) {
    case 'success':
      return move(batch, runId, 'running', 'completed', timestamp)
    case 'suspended':
      batch.submit({ type: 'run_suspend', runId, reason: suspendReason ?? 'handler', timestamp })
      return 'suspended'
    case 'failure':
    case 'timeout': {
      const attempt = effectiveAttempts(run)
      const cap = batch.view.task(run.taskId)?.spec.constraints.maxAttempts ?? 1
      const isTerminal = outcome.result === 'failure' && outcome.failureClass === 'terminal'
      if (isTerminal || attempt >= cap) return move(batch, runId, 'running', 'failed', timestamp)
      const retryAt = timestamp + delayOf(attempt)
      return move(batch, runId, 'running', 'retry_wait', timestamp, { retryAt })
    }
  }
}

function move(
  batch: TaskBatch,
  runId: RunId,
  previousState: RunState,
  newState: RunState,
  timestamp: Timestamp,
  more: { readonly fencingToken?: number; readonly retryAt?: Timestamp } = {},
): RunState {
  batch.submit({ type: 'run_state_transition', runId, previousState, newState, timestamp, ...more })
  return newState
}
