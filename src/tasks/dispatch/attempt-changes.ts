import type { IdSource } from '../../base/ids.js'
import { type AttemptOutcome, failed } from '../attempt-outcome.js'
import type { BudgetDimension } from '../budget.js'
import { TaskError } from '../errors.js'
import type { AttemptId, ReservationId, RunId, TaskId } from '../ids.js'
import type { TaskBatch, TaskMutations } from '../authority.js'
import { phaseOf } from '../task.js'
import { isTerminalRunState, type Run, type RunState } from '../run.js'
import type { TaskProjection, TaskView } from '../view.js'
import type { AttemptIdentity, AttemptReport, SuspendReason } from './attempt.js'
import { fillWindow } from './cron-window.js'
import { isCancelled, moveRun } from './runs.js'
import {
  type AttemptSpending,
  canSpendAgain,
  closeSpending,
  reservationsAtOnce,
  type Unsettled,
  unreported,
} from './spending.js'
import type { TaskClock } from './task-clock.js'
import { fireForRun, fireForSpending } from './triggers.js'

/** What the end of an attempt is decided with. */
export interface EndingOptions {
  /** Decides after a failed attempt, counted from 1, how many milliseconds to wait before the next. */
  readonly delayOf: (effectiveAttempt: number) => number
  readonly times: TaskClock
  readonly projection: TaskProjection
  readonly ids: IdSource
  readonly atMs: number
  /** Takes the steps that follow from the end. Default: {@link orRefuse}. */
  readonly consequence?: TakeConsequence
}

/** Carries out a step that follows from an end, or leaves it out. */
export type TakeConsequence = (step: () => void) => void

/** A refused step refuses the end. */
export const orRefuse: TakeConsequence = (step) => step()

/** What a run is claimed with. */
export interface Claim {
  readonly owner: string
  readonly expiresAtMs: number
  readonly attemptId: AttemptId
  /** Set aside before the attempt starts. */
  readonly reserve: ReadonlyMap<BudgetDimension, { readonly reservationId: ReservationId; readonly amount: number }>
  readonly atMs: number
}

/** Attempts that count towards the cap: suspended ones do not (spec mutation authority 7.5). */
export function effectiveAttempts({ attempts }: Run): number {
  return attempts.filter(({ outcome }) => outcome?.result !== 'suspended').length
}

/** Raises `fencing_token_superseded` unless the attempt still holds its run (ruling D-28). */
export function checkHeld(batch: TaskBatch, { runId, fencingToken: provided }: AttemptIdentity): void {
  const current = batch.view.run(runId)?.lease?.fencingToken
  if (current !== provided) throw new TaskError('fencing_token_superseded', { runId, provided, current })
}

/**
 * Claims a ready run and starts an attempt, all in one batch. `undefined` when the run is not ready any more.
 * Raises `budget_exceeded` when what the attempt needs cannot be set aside.
 */
export function startAttempt(batch: TaskBatch, runId: RunId, claim: Claim): AttemptIdentity | undefined {
  const run = batch.view.run(runId)
  if (run?.state !== 'ready' || run.lease !== undefined) return undefined
  const { taskId } = run
  const { owner, expiresAtMs, attemptId, reserve, atMs } = claim
  for (const [dimension, { reservationId, amount }] of reserve) {
    if (batch.view.ledgersFor(taskId, dimension).length === 0) continue
    batch.submit({ type: 'budget_reserve', reservationId, taskId, dimension, amount, runId, atMs })
  }
  moveRun(batch, runId, 'ready', 'leased', atMs)
  const { fencingToken } = batch.submit({ type: 'lease_acquire', runId, owner, expiresAtMs, atMs }).applied
  moveRun(batch, runId, 'leased', 'running', atMs, { fencingToken })
  batch.submit({ type: 'attempt_start', runId, attemptId, fencingToken, atMs })
  return { runId, taskId, attemptId, fencingToken }
}

/** What becomes of what an attempt has neither settled nor released. */
export function unsettledAfter({ outcome, isAnswered }: Pick<AttemptReport, 'outcome' | 'isAnswered'>): Unsettled {
  return outcome.result === 'success' || !isAnswered ? 'spent' : 'given_back'
}

/** The same where the run was cancelled: nobody wants the result any more, but a call that was not answered may have been made. */
export function unsettledOfCancelled({ isAnswered }: Pick<AttemptReport, 'isAnswered'>): Unsettled {
  return isAnswered ? 'given_back' : 'spent'
}

/** Ends an attempt with all that follows: result, lease, next state, spending and events are one change (ruling D-25). */
export function finishAttempt(
  batch: TaskBatch,
  { runId, taskId, attemptId, fencingToken }: AttemptIdentity,
  { outcome, suspendReason, isAnswered }: AttemptReport,
  spending: AttemptSpending,
  options: EndingOptions,
): void {
  const { projection, atMs, consequence = orRefuse } = options
  const lease = batch.view.run(runId)?.lease
  batch.submit({ type: 'attempt_finish', runId, attemptId, outcome, fencingToken, atMs })
  if (lease !== undefined) {
    const { owner, expiresAtMs } = lease
    batch.submit({ type: 'lease_release', runId, owner, expiresAtMs, fencingToken, atMs })
  }
  const unsettled = unsettledAfter({ outcome, isAnswered })
  let touched: readonly BudgetDimension[] = []
  consequence(() => {
    touched = closeSpending(batch, taskId, spending, unsettled, atMs)
  })
  const { refused } = spending
  const canGoOn = suspendReason === 'budget_exhausted' && canSpendAgain(batch.view, projection, taskId, refused)
  leaveRunning(batch, runId, outcome, canGoOn && refused !== undefined ? 'budget_reserved' : suspendReason, options)
  if (canGoOn) batch.submit({ type: 'run_resume', runId, atMs })
  consequence(() => fireForSpending(batch, projection, taskId, touched, atMs))
}

/**
 * Takes a run back from an owner that is gone (spec mutation authority 2.4). What it may have spent counts as spent: a
 * budget must not be exceeded because a worker died between its call and its receipt.
 */
export function recoverRun(batch: TaskBatch, runId: RunId, options: EndingOptions): void {
  const { projection, atMs } = options
  const run = batch.view.run(runId)
  if (run?.lease === undefined) return
  const { owner, expiresAtMs } = run.lease
  batch.submit({ type: 'lease_expire', runId, owner, expiresAtMs, atMs })
  if (run.state !== 'running') return
  const open = [...projection.reservationsOf(runId)].map(({ reservationId }) => reservationId)
  const touched = closeSpending(batch, run.taskId, unreported(open), 'spent', atMs)
  const outcome = failed(`the owner ${owner} was lost`, 'retryable', { reason: 'lost' })
  if (run.currentAttemptId !== undefined) {
    batch.submit({ type: 'attempt_finish', runId, attemptId: run.currentAttemptId, outcome, atMs })
  }
  leaveRunning(batch, runId, outcome, undefined, options)
  fireForSpending(batch, projection, run.taskId, touched, atMs)
}

function leaveRunning(
  batch: TaskBatch,
  runId: RunId,
  outcome: AttemptOutcome,
  suspendReason: SuspendReason | undefined,
  { delayOf, times, projection, ids, atMs, consequence = orRefuse }: EndingOptions,
): void {
  const run = batch.view.run(runId)
  if (run === undefined) return
  const { taskId } = run
  const state = stateAfter(run, outcome, batch.view.task(taskId)?.spec.constraints.maxAttempts ?? 1)
  if (state === 'suspended') {
    batch.submit({ type: 'run_suspend', runId, reason: suspendReason ?? 'handler', atMs })
  } else {
    const retryAtMs =
      state === 'retry_wait'
        ? Math.min(times.now() + delayOf(effectiveAttempts(run)), Number.MAX_SAFE_INTEGER)
        : undefined
    moveRun(batch, runId, 'running', state, atMs, retryAtMs === undefined ? {} : { retryAtMs })
  }
  // In this batch, so that a repeating task never looks finished between two of its runs.
  if (isTerminalRunState(state)) consequence(() => fillWindow(batch, projection, taskId, times.wall(), ids))
  consequence(() => fireForRun(batch, projection, taskId, state, atMs))
}

/** Where a run goes after an attempt (spec mutation authority 7.5); at the cap or beyond it there is no other attempt. */
export function stateAfter(run: Run, outcome: AttemptOutcome, maxAttempts: number): RunState {
  switch (outcome.result) {
    case 'success':
      return 'completed'
    case 'suspended':
      return 'suspended'
    case 'failure':
    case 'timeout': {
      const isTerminal = outcome.result === 'failure' && outcome.failureClass === 'terminal'
      return isTerminal || effectiveAttempts(run) >= maxAttempts ? 'failed' : 'retry_wait'
    }
  }
}

/**
 * Takes a run back from an owner that is gone, in groups that fit the journal however many reservations it left. Rejects
 * with the refusal or the lane's failure.
 */
export async function recoverLost(mutations: TaskMutations, runId: RunId, options: EndingOptions): Promise<void> {
  const { projection, atMs } = options
  for (;;) {
    const run = projection.run(runId)
    const open = [...projection.reservationsOf(runId)].map(({ reservationId }) => reservationId)
    if (run?.state !== 'running' || run.lease === undefined || open.length <= reservationsAtOnce) break
    const group = unreported(open.slice(0, reservationsAtOnce))
    await mutations.transact((batch) => closeSpending(batch, run.taskId, group, 'spent', atMs))
  }
  await mutations.transact((batch) => recoverRun(batch, runId, options))
}

/**
 * Whether what was decided before a start still lets it be. Selection looked at what is durable; a prerequisite may have
 * been declared, a budget spent, a task cancelled or the engine paused since, and stand before the start in the log.
 * `view` shows what is under way.
 */
export function mayStart(view: TaskView, projection: Pick<TaskProjection, 'budgetsOf'>, taskId: TaskId): boolean {
  if (view.engine.paused || isCancelled(view, taskId)) return false
  const isGateOpen = view.prerequisites(taskId).every((prerequisite) => hasCompleted(view, prerequisite))
  return isGateOpen && canSpendAgain(view, projection, taskId, undefined)
}

/** As dependents see it: every run has ended, and one of them well (spec mutation authority 7.9). */
function hasCompleted(view: TaskView, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task !== undefined && phaseOf(task) === 'completed'
}
