import type { IdSource } from '../../base/ids.js'
import { type AttemptOutcome, lost, suspended } from '../attempt-outcome.js'
import type { BudgetDimension } from '../budget.js'
import { TaskError } from '../errors.js'
import type { AttemptId, ReservationId, RunId, TaskId } from '../ids.js'
import type { TaskBatch, TaskMutations } from '../authority.js'
import type { AttemptEnd } from '../attempt-steps.js'
import type { TaskConstraints } from '../task-spec.js'
import { hasEnded, phaseOf, type Task } from '../task.js'
import { isTerminalRunState, type Run, type RunInstance, type RunState } from '../run.js'
import { progressAfterEnd, progressWith } from '../run-commands.js'
import type { TaskProjection, TaskView } from '../view.js'
import type { AttemptIdentity, AttemptReport, SuspendReason } from './attempt-report.js'
import { fillWindow, missingRuns } from './cron-window.js'
import { mayLeaveOut } from './missed-occurrences.js'
import { isCancelled, moveRun } from './runs.js'
import {
  type AttemptSpending,
  canSpendAgain,
  closeSpending,
  type BudgetReader,
  recordOf,
  reservationsAtOnce,
  type Unsettled,
  unreported,
} from './spending.js'
import type { TaskClock } from './task-clock.js'
import type { SystemEvent } from '../subscription.js'
import { armedFor, eventsOfRun, eventsOfSpending, fire, fireForSpending, takenAlong } from './triggers.js'

/** Delay in milliseconds after a failed attempt; `effectiveAttempt` counts from 1. */
export type DelayOf = (kind: string | undefined, effectiveAttempt: number) => number

/** What is needed to decide the end of an attempt. */
export interface EndingOptions {
  /** The delay in milliseconds before the next attempt of this kind, after a failed one; attempts count from 1. */
  readonly delayOf: DelayOf
  readonly times: TaskClock
  readonly projection: TaskProjection
  readonly ids: IdSource
  readonly atMs: number
  /** Runs each consequence of the end. Default: all of them are part of the end, and a refused one refuses it. */
  readonly consequence?: TakeConsequence | undefined
}

/** Runs a step that follows from an end, or leaves it out. */
export type TakeConsequence = (step: () => void) => void

/** Runs the step; if it is refused, so is the end. */
export const orRefuse: TakeConsequence = (step) => step()

/** How a run is claimed. */
export interface Claim {
  readonly owner: string
  readonly expiresAtMs: number
  readonly attemptId: AttemptId
  /** Amounts to reserve before the attempt starts. */
  readonly reserve: ReadonlyMap<BudgetDimension, { readonly reservationId: ReservationId; readonly amount: number }>
  readonly atMs: number
}

/** Attempts that count towards `maxAttempts`; suspended and lost ones do not (T-77). */
export function effectiveAttempts({ attempts }: Run): number {
  return attempts.filter(({ outcome }) => outcome?.result !== 'suspended' && outcome?.result !== 'lost').length
}

/** How many attempts in a row have been lost, up to and without the current one. */
function lossesBefore({ attempts }: Run): number {
  const before = attempts.at(-1)?.outcome === undefined ? attempts.slice(0, -1) : attempts
  return before.length - 1 - before.findLastIndex(({ outcome }) => outcome?.result !== 'lost')
}

/** Default of `maxLosses`: how many losses in a row fail a run. */
const defaultMaxLosses = 3

/** Raises `fencing_token_superseded` unless the attempt still holds its run (T-148). */
export function checkHeld(batch: TaskBatch, { runId, fencingToken: provided }: AttemptIdentity): void {
  const current = batch.view.run(runId)?.lease?.fencingToken
  if (current !== provided) throw new TaskError('fencing_token_superseded', { runId, provided, current })
}

/**
 * Claims a run that is ready, or scheduled and due (T-900), and starts an attempt, all in one batch. `undefined` when the run is
 * in another state by now. Raises `budget_exceeded` when the attempt's reservations cannot be made.
 */
export function startAttempt(batch: TaskBatch, runId: RunId, claim: Claim): AttemptIdentity | undefined {
  const run = batch.view.run(runId)
  if (run === undefined || run.lease !== undefined) return undefined
  const { taskId, state } = run
  if (state !== 'ready' && (state !== 'scheduled' || mayLeaveOut(batch.view.task(taskId)))) return undefined
  const { owner, expiresAtMs, attemptId, reserve, atMs } = claim
  const reservations = Array.from(reserve, ([dimension, { reservationId, amount }]) => ({
    reservationId,
    dimension,
    amount,
  })).filter(({ dimension }) => batch.view.budgetsFor(taskId, dimension).length > 0)
  const { fencingToken } = batch.submit({
    type: 'attempt_begin',
    runId,
    attemptId,
    ...(state === 'scheduled' && { previousState: state }),
    owner,
    expiresAtMs,
    ...(reservations.length > 0 && { reservations }),
    atMs,
  }).applied
  return { runId, taskId, attemptId, fencingToken }
}

/** What happens to reservations that an attempt has neither settled nor released. */
export function unsettledAfter({ outcome, isAnswered }: Pick<AttemptReport, 'outcome' | 'isAnswered'>): Unsettled {
  return outcome.result === 'success' || !isAnswered ? 'spent' : 'given_back'
}

/** The same for a cancelled run: nobody needs the result any more, but a call without an answer may have been made. */
export function unsettledOfCancelled({ isAnswered }: Pick<AttemptReport, 'isAnswered'>): Unsettled {
  return isAnswered ? 'given_back' : 'spent'
}

/**
 * Ends an attempt with everything that follows: result, lease, next state, spending and events are one change (T-173).
 * It is one command, unless its consequences are run one by one.
 */
export function finishAttempt(
  batch: TaskBatch,
  { runId, attemptId, fencingToken }: AttemptIdentity,
  { outcome, suspendReason, isAnswered, retryAfterMs }: AttemptReport,
  spending: AttemptSpending,
  options: EndingOptions,
): void {
  const run = batch.view.run(runId)
  if (run === undefined) return
  const unsettled = unsettledAfter({ outcome, isAnswered })
  const all = withStepsOf(run, spending, options.projection)
  const end = { attemptId, fencingToken, outcome, suspendReason, retryAfterMs, spending: all, unsettled } as const
  if (options.consequence === undefined) endAtOnce(batch, run, end, options)
  else endStepByStep(batch, run, end, options, options.consequence)
}

/**
 * Takes a run back from an owner that is gone (T-99). Its open reservations count as spent: a budget must not be
 * exceeded because a worker died between making a call and recording its cost.
 */
export function recoverRun(batch: TaskBatch, runId: RunId, options: EndingOptions): void {
  const { projection, atMs } = options
  const run = batch.view.run(runId)
  if (run?.lease === undefined) return
  const { owner, expiresAtMs } = run.lease
  batch.submit({ type: 'lease_expire', runId, owner, expiresAtMs, atMs })
  if (run.state !== 'running') return
  const open = [...projection.reservationsOf(runId)].map(({ reservationId }) => reservationId)
  const spending = unreported(open)
  // An attempt that did nothing but wait has lost nothing: it goes on when the wait is over (T-252).
  const end: Omit<End, 'attemptId'> =
    run.isWaiting === true
      ? { outcome: suspended(), suspendReason: 'waiting', spending, unsettled: 'given_back' }
      : { outcome: lost(`the owner ${owner} was lost`), spending, unsettled: 'spent' }
  const { currentAttemptId: attemptId } = run
  if (attemptId !== undefined) endAtOnce(batch, run, { ...end, attemptId }, options)
  else endStepByStep(batch, run, end, options, orRefuse)
}

/** Everything with which a run leaves `running`. */
interface End {
  /** Absent if a host that drives runs itself began no attempt. */
  readonly attemptId?: AttemptId
  /** Of the lease, if one is held. */
  readonly fencingToken?: number
  readonly outcome: AttemptOutcome
  readonly suspendReason?: SuspendReason | undefined
  /** The delay that the handler asked for, in milliseconds. */
  readonly retryAfterMs?: number | undefined
  readonly spending: AttemptSpending
  readonly unsettled: Unsettled
}

/** Ends the attempt with one command that includes every consequence. */
function endAtOnce(
  batch: TaskBatch,
  run: Run,
  end: End & { readonly attemptId: AttemptId },
  options: EndingOptions,
): void {
  const { view } = batch
  const { projection, times, ids, atMs } = options
  const { id: runId, taskId } = run
  const before = view.task(taskId)
  const newState = stateAfter(run, end.outcome, before?.spec.constraints)
  const isLast = isTerminalRunState(newState)
  const { settlements, consumptions, touched, budgets } = recordOf(view, taskId, end.spending, end.unsettled, !isLast)
  const task = taskAfter(before, newState)
  // Part of the same change, so that a repeating task never appears finished between two of its runs.
  const runs = isLast ? missingRuns(task, projection, times.wall(), ids) : []
  const events = function* (): Iterable<SystemEvent> {
    yield* eventsOfRun(taskId, task && withRuns(task, runs), newState)
    yield* eventsOfSpending(budgets, taskId, touched)
  }
  const triggers = projection.hasArmedSubscriptions ? takenAlong(batch, armedFor(view, projection, events())) : []
  batch.submit({
    type: 'attempt_end',
    runId,
    attemptId: end.attemptId,
    outcome: end.outcome,
    ...nextOf(view, budgets, run, newState, end, options),
    ...(settlements.length > 0 && { settlements }),
    ...(consumptions.length > 0 && { consumptions }),
    ...(runs.length > 0 && { runs }),
    ...(triggers.length > 0 && { triggers }),
    ...(end.fencingToken !== undefined && { fencingToken: end.fencingToken }),
    atMs,
  })
}

/** Ends the attempt with one command, and runs each consequence as its own, so that one can be left out. */
function endStepByStep(
  batch: TaskBatch,
  run: Run,
  { attemptId, ...end }: End,
  options: EndingOptions,
  consequence: TakeConsequence,
): void {
  const { view } = batch
  const { projection, times, ids, atMs } = options
  const { id: runId, taskId } = run
  let touched: readonly BudgetDimension[] = []
  const newState = stateAfter(run, end.outcome, view.task(taskId)?.spec.constraints)
  consequence(() => {
    touched = closeSpending(batch, taskId, end.spending, end.unsettled, atMs, !isTerminalRunState(newState))
  })
  const next = nextOf(view, view, run, newState, end, options)
  const { retryAtMs } = next
  if (attemptId === undefined) {
    moveRun(batch, runId, 'running', newState, atMs, retryAtMs === undefined ? {} : { retryAtMs })
  } else {
    const { outcome, fencingToken } = end
    const token = fencingToken === undefined ? {} : { fencingToken }
    batch.submit({ type: 'attempt_end', runId, attemptId, outcome, ...next, ...token, atMs })
  }
  if (isTerminalRunState(newState)) consequence(() => fillWindow(batch, projection, taskId, times.wall(), ids))
  consequence(() => {
    for (const event of eventsOfRun(taskId, view.task(taskId), newState)) fire(batch, projection, event, atMs)
  })
  consequence(() => fireForSpending(batch, projection, taskId, touched, atMs))
}

/** The next state of the run with its fields. `budgets` are those after the end. */
function nextOf(
  view: TaskView,
  budgets: BudgetReader,
  run: Run,
  newState: AttemptEnd['newState'],
  { outcome, suspendReason = 'handler', retryAfterMs, spending: { refused } }: End,
  { delayOf, times, projection }: EndingOptions,
): Pick<AttemptEnd, 'newState' | 'retryAtMs' | 'reason' | 'resume'> {
  switch (newState) {
    case 'retry_wait': {
      // A first loss is retried at once, since it is no fault of the run; further losses in a row are delayed.
      const count = outcome.result === 'lost' ? lossesBefore(run) : effectiveAttempts(run)
      const delayMs = retryAfterMs ?? (count === 0 ? 0 : delayOf(view.task(run.taskId)?.spec.kind, count))
      return { newState, retryAtMs: Math.min(times.now() + Math.round(delayMs), Number.MAX_SAFE_INTEGER) }
    }
    case 'suspended': {
      if (suspendReason === 'shutdown' && run.isWaiting === true) return { newState, reason: 'waiting' }
      const canGoOn = suspendReason === 'budget_exhausted' && canSpendAgain(budgets, projection, run.taskId, refused)
      const reason = canGoOn && refused !== undefined ? 'budget_reserved' : suspendReason
      return { newState, reason, ...(canGoOn && { resume: true }) }
    }
    default:
      return { newState }
  }
}

/** The task after one of its runs has entered a state. */
function taskAfter(task: Task | undefined, newState: RunState): Task | undefined {
  if (task === undefined || !isTerminalRunState(newState)) return task
  return { ...task, progress: progressAfterEnd(task.progress, newState) }
}

/** A task including the runs that it is about to get. */
function withRuns(task: Task, runs: readonly RunInstance[]): Task {
  return runs.reduce((before, run) => ({ ...before, progress: progressWith(before.spec, before.progress, run) }), task)
}

/** The limits on repeated attempts of a run. */
type Caps = Pick<TaskConstraints, 'maxAttempts' | 'maxLosses'>

/** The spending, including what earlier attempts reserved for steps that were not done again. */
function withStepsOf(
  { id }: Run,
  spending: AttemptSpending,
  projection: Pick<TaskProjection, 'reservationsOf'>,
): AttemptSpending {
  const ofSteps: ReservationId[] = []
  for (const { reservationId, step } of projection.reservationsOf(id))
    if (step !== undefined) ofSteps.push(reservationId)
  if (ofSteps.length === 0) return spending
  const reservationIds = new Set([...spending.reservationIds, ...ofSteps])
  const { reservedAtStart, settled, refused, reported } = spending
  return { reservationIds, reservedAtStart, settled, refused, reported }
}

/** The state of a run after an attempt (T-77, T-99); once a limit is reached there is no further attempt. */
export function stateAfter(
  run: Run,
  outcome: AttemptOutcome,
  { maxAttempts, maxLosses = defaultMaxLosses }: Caps = { maxAttempts: 1 },
): AttemptEnd['newState'] {
  switch (outcome.result) {
    case 'success':
      return 'completed'
    case 'suspended':
      return 'suspended'
    case 'lost':
      return lossesBefore(run) + 1 >= maxLosses ? 'failed' : 'retry_wait'
    case 'failure':
    case 'timeout': {
      const isTerminal = outcome.result === 'failure' && outcome.failureClass === 'terminal'
      return isTerminal || effectiveAttempts(run) >= maxAttempts ? 'failed' : 'retry_wait'
    }
  }
}

/**
 * Takes a run back from an owner that is gone, in groups that fit the journal, however many reservations are open.
 * Rejects with the refusal or the lane's failure.
 */
export async function recoverLost(mutations: TaskMutations, runId: RunId, options: EndingOptions): Promise<void> {
  const { projection, atMs } = options
  for (;;) {
    const run = projection.run(runId)
    const open = Array.from(projection.reservationsOf(runId))
      .filter(({ step }) => step === undefined)
      .map(({ reservationId }) => reservationId)
    if (run?.state !== 'running' || run.lease === undefined || open.length <= reservationsAtOnce) break
    const group = unreported(open.slice(0, reservationsAtOnce))
    await mutations.transact((batch) => closeSpending(batch, run.taskId, group, 'spent', atMs))
  }
  await mutations.transact((batch) => recoverRun(batch, runId, options))
}

/**
 * Checks again, in the batch, that a run may start. Selection read the durable state; since then, a prerequisite may
 * have been declared, a budget spent, a task cancelled or the engine paused, and come before the start in the log.
 * `view` shows changes in flight.
 */
export function mayStart(view: TaskView, projection: Pick<TaskProjection, 'budgetsOf'>, taskId: TaskId): boolean {
  if (view.engine.paused || isCancelled(view, taskId)) return false
  return isGateOpen(view, taskId) && canSpendAgain(view, projection, taskId, undefined)
}

function isGateOpen(view: TaskView, taskId: TaskId): boolean {
  const prerequisites = view.prerequisites(taskId)
  if (prerequisites.length === 0) return true
  const anyEnd = new Set(view.prerequisitesOfAnyEnd(taskId))
  return prerequisites.every((prerequisite) =>
    anyEnd.has(prerequisite) ? hasEnded(view.task(prerequisite)) : hasCompleted(view, prerequisite),
  )
}

/** True if the task has completed, as its dependents see it: every run has ended, and one has completed (T-194). */
function hasCompleted(view: TaskView, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task !== undefined && phaseOf(task) === 'completed'
}
