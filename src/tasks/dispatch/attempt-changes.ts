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
import { armedFor, eventsOfRun, eventsOfSpending, fire, fireForSpending, takenAlong } from './triggers.js'

/** How many milliseconds a run waits after a failed attempt, counted from 1. */
export type DelayOf = (kind: string | undefined, effectiveAttempt: number) => number

/** What the end of an attempt is decided with. */
export interface EndingOptions {
  /** Decides after a failed attempt of a kind, counted from 1, how many milliseconds to wait before the next. */
  readonly delayOf: DelayOf
  readonly times: TaskClock
  readonly projection: TaskProjection
  readonly ids: IdSource
  readonly atMs: number
  /** Takes what follows from the end step by step. Default: all of it belongs to the end, and is refused with it. */
  readonly consequence?: TakeConsequence | undefined
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

/** Attempts that count towards the cap: those that were suspended or lost do not (T-77). */
export function effectiveAttempts({ attempts }: Run): number {
  return attempts.filter(({ outcome }) => outcome?.result !== 'suspended' && outcome?.result !== 'lost').length
}

/** How many attempts in a row, up to the one under way, have been lost before it. */
function lossesBefore({ attempts }: Run): number {
  const before = attempts.at(-1)?.outcome === undefined ? attempts.slice(0, -1) : attempts
  return before.length - 1 - before.findLastIndex(({ outcome }) => outcome?.result !== 'lost')
}

/** Losses in a row that fail a run. */
const defaultMaxLosses = 3

/** Raises `fencing_token_superseded` unless the attempt still holds its run (T-148). */
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
  const reservations = Array.from(reserve, ([dimension, { reservationId, amount }]) => ({
    reservationId,
    dimension,
    amount,
  })).filter(({ dimension }) => batch.view.budgetsFor(taskId, dimension).length > 0)
  const { fencingToken } = batch.submit({
    type: 'attempt_begin',
    runId,
    attemptId,
    owner,
    expiresAtMs,
    ...(reservations.length > 0 && { reservations }),
    atMs,
  }).applied
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

/**
 * Ends an attempt with all that follows: result, lease, next state, spending and events are one change (T-173). It is
 * one command, unless its consequences are taken one by one.
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
 * Takes a run back from an owner that is gone (T-99). What it may have spent counts as spent: a
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
  const spending = unreported(open)
  // One that did nothing but wait has lost nothing: it goes on when the wait is over (T-252).
  const end: Omit<End, 'attemptId'> =
    run.isWaiting === true
      ? { outcome: suspended(), suspendReason: 'waiting', spending, unsettled: 'given_back' }
      : { outcome: lost(`the owner ${owner} was lost`), spending, unsettled: 'spent' }
  const { currentAttemptId: attemptId } = run
  if (attemptId !== undefined) endAtOnce(batch, run, { ...end, attemptId }, options)
  else endStepByStep(batch, run, end, options, orRefuse)
}

/** What a run leaves `running` with. */
interface End {
  /** Absent where a host has not begun any. */
  readonly attemptId?: AttemptId
  /** Of the lease, while it is held. */
  readonly fencingToken?: number
  readonly outcome: AttemptOutcome
  readonly suspendReason?: SuspendReason | undefined
  /** Where the handler has said how long to wait. */
  readonly retryAfterMs?: number | undefined
  readonly spending: AttemptSpending
  readonly unsettled: Unsettled
}

/** One command carries the end and all that follows from it. */
function endAtOnce(
  batch: TaskBatch,
  run: Run,
  { attemptId, ...end }: End & { readonly attemptId: AttemptId },
  options: EndingOptions,
): void {
  const { view } = batch
  const { projection, times, ids, atMs } = options
  const { id: runId, taskId } = run
  const goesOn = !isTerminalRunState(stateAfter(run, end.outcome, constraintsOf(view, run)))
  const { settlements, consumptions, touched, budgets } = recordOf(view, taskId, end.spending, end.unsettled, goesOn)
  const next = nextOf(view, budgets, run, end, options)
  const task = taskAfter(view.task(taskId), next.newState)
  // With the end, so that a repeating task never looks finished between two of its runs.
  const runs = isTerminalRunState(next.newState) ? missingRuns(task, projection, times.wall(), ids) : []
  const triggers = takenAlong(
    batch,
    armedFor(view, projection, [
      ...eventsOfRun(taskId, task && withRuns(task, runs), next.newState),
      ...eventsOfSpending(budgets, taskId, touched),
    ]),
  )
  batch.submit({
    type: 'attempt_end',
    runId,
    attemptId,
    outcome: end.outcome,
    ...next,
    ...(settlements.length > 0 && { settlements }),
    ...(consumptions.length > 0 && { consumptions }),
    ...(runs.length > 0 && { runs }),
    ...(triggers.length > 0 && { triggers }),
    ...(end.fencingToken !== undefined && { fencingToken: end.fencingToken }),
    atMs,
  })
}

/** The end alone is one command, and each consequence its own, so that one can be left out. */
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
  consequence(() => {
    const goesOn = !isTerminalRunState(stateAfter(run, end.outcome, constraintsOf(view, run)))
    touched = closeSpending(batch, taskId, end.spending, end.unsettled, atMs, goesOn)
  })
  const next = nextOf(view, view, run, end, options)
  const { newState, retryAtMs } = next
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

/** Where the run goes, and what belongs to that. `budgets` are those after the end. */
function nextOf(
  view: TaskView,
  budgets: BudgetReader,
  run: Run,
  { outcome, suspendReason = 'handler', retryAfterMs, spending: { refused } }: Omit<End, 'attemptId'>,
  { delayOf, times, projection }: EndingOptions,
): Pick<AttemptEnd, 'newState' | 'retryAtMs' | 'reason' | 'resume'> {
  const newState = stateAfter(run, outcome, constraintsOf(view, run))
  switch (newState) {
    case 'retry_wait': {
      // After the first of several losses at once: it was no fault of the run.
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

/** A task when one of its runs has got to a state. */
function taskAfter(task: Task | undefined, newState: RunState): Task | undefined {
  if (task === undefined || !isTerminalRunState(newState)) return task
  return { ...task, progress: progressAfterEnd(task.progress, newState) }
}

/** A task with runs that it is to get. */
function withRuns(task: Task, runs: readonly RunInstance[]): Task {
  return runs.reduce((before, run) => ({ ...before, progress: progressWith(before.spec, before.progress, run) }), task)
}

function constraintsOf(view: TaskView, { taskId }: Run): Caps {
  return view.task(taskId)?.spec.constraints ?? { maxAttempts: 1 }
}

/** What ends a run that is tried again and again. */
type Caps = Pick<TaskConstraints, 'maxAttempts' | 'maxLosses'>

/** The spending with what earlier attempts have set aside for steps that were not done again. */
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

/** Where a run goes after an attempt (T-77, T-99); at a cap or beyond it there is no other attempt. */
export function stateAfter(
  run: Run,
  outcome: AttemptOutcome,
  { maxAttempts, maxLosses = defaultMaxLosses }: Caps,
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
 * Takes a run back from an owner that is gone, in groups that fit the journal however many reservations it left. Rejects
 * with the refusal or the lane's failure.
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
 * Whether what was decided before a start still lets it be. Selection looked at what is durable; a prerequisite may have
 * been declared, a budget spent, a task cancelled or the engine paused since, and stand before the start in the log.
 * `view` shows what is under way.
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

/** As dependents see it: every run has ended, and one of them well (T-194). */
function hasCompleted(view: TaskView, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task !== undefined && phaseOf(task) === 'completed'
}
