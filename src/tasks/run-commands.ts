import * as v from 'valibot'
import { runChart, type RunMove } from '../../machines/run.js'
import type { Selection } from '../../machines/chart-table.js'
import { InvalidInputError } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { attemptRecordSchema } from './attempt-outcome.js'
import { TaskError } from './errors.js'
import type { RunId } from './ids.js'
import {
  advance,
  after,
  checkRun,
  checkRunIds,
  checkToken,
  historyEntrySchema,
  inMotion,
  isTerminalRunState,
  leaseSchema,
  moveTo,
  rowOf,
  runInstanceEntries,
  runInstanceSchema,
  runStates,
  selectMove,
  statesOf,
  type SelectedMove,
  type MoveFacts,
  type Run,
  type RunInstance,
  type RunState,
  type StandingRun,
  type TerminalRunState,
} from './run.js'
import type { RunsByTask } from './runs-by-task.js'
import { fenced, ofRun, optionalTime } from './scalars.js'
import {
  knownTask,
  putTask,
  replayedTask,
  sharedProgress,
  storedTask,
  type Task,
  type TaskProgress,
  type TaskReads,
  type TaskRows,
} from './task.js'

/** The tables defined in this file. */
export interface RunRows extends TaskRows {
  readonly runs: Table<RunId, Run>
  readonly runsByTask: RunsByTask
}

/** The reads defined in this file. */
export interface RunReads extends TaskReads {
  run(runId: RunId): Run | undefined
}

/** A draft of changes to runs. */
export type RunDraft = Draft<RunRows, RunReads>

/** The fields of every stored event about one run. */
export interface OfRun {
  readonly sequence: number
  readonly runId: RunId
  readonly atMs: number
}

const defineEvent = eventDefiner<RunRows, RunReads>()
const defineCommand = commandDefiner<RunReads>()
const defineRow = rowDefiner<RunRows, RunReads>()

/** Inserts a scheduled run and counts it for its task. */
export const runCreated = defineEvent('run_created', {
  fields: { runInstance: runInstanceSchema },
  check: ({ runInstance }) => checkRunIds(runInstance.id, runInstance.taskId),
  evolve: (draft, { runInstance, sequence }) => insertRun(draft, runInstance, sequence),
})

/** Moves the run along one of the 17 edges. */
export const runStateChanged = defineEvent('run_state_changed', {
  fields: {
    ...ofRun,
    previousState: v.picklist(runStates),
    newState: v.picklist(runStates),
    /** When the retry is due, in epoch milliseconds. */
    retryAtMs: optionalTime,
  },
  evolve: (draft, event, decided?: Run) => {
    const run = replayedRun(draft, event)
    checkReplayedState(run, event, event.previousState)
    const move = moveTo(event.newState)
    if (move === undefined) illegal(event.sequence, run.id, `${run.state} to ${event.newState}`)
    advanceRun(draft, event, move, event, decided)
  },
})

/** The run is suspended and can be resumed. */
export const runSuspended = defineEvent('run_suspended', {
  fields: { ...ofRun, reason: v.exactOptional(v.string()) },
  evolve: (draft, event, decided?: Run) => advanceRun(draft, event, { type: 'suspend' }, event, decided),
})

/** A suspended run is ready again. */
export const runResumed = defineEvent('run_resumed', {
  fields: ofRun,
  evolve: (draft, event, decided?: Run) => advanceRun(draft, event, { type: 'resume' }, event, decided),
})

/** Still readable, though no command writes it. */
export const runCancelled = defineEvent('run_cancelled', {
  fields: ofRun,
  evolve: (draft, event) => advanceRun(draft, event, { type: 'to_cancelled' }, event),
})

/**
 * Checks: task known; run not known; scheduled; task not cancelled; no attempts yet. Carries no timestamp:
 * `createdAtMs` counts.
 */
export const runCreate = defineCommand('run_create', {
  fields: { runInstance: runInstanceSchema },
  check: ({ runInstance }) => checkRunIds(runInstance.id, runInstance.taskId),
  decide: (view, { runInstance }, sequence) => {
    checkCreate(view, runInstance)
    return {
      event: runCreated.create(sequence, { runInstance }),
      applied: { type: 'run_create', runId: runInstance.id, taskId: runInstance.taskId } as const,
    }
  },
})

/** Checks: known; declared state; edge; task not cancelled; token; no attempt open; no lease left behind. */
export const runStateTransition = defineCommand('run_state_transition', {
  fields: {
    ...ofRun,
    ...fenced,
    previousState: v.picklist(runStates),
    newState: v.picklist(runStates),
    /** When the retry is due, in epoch milliseconds; only with `newState: 'retry_wait'`. */
    retryAtMs: optionalTime,
  },
  check: ({ newState, retryAtMs }) => checkRetryAt(newState, retryAtMs),
  decide: (view, command, sequence) => {
    const { runId, previousState, newState, retryAtMs, atMs } = command
    const run = knownRun(view, runId)
    const legal = checkTransition(view, run, command)
    const payload = { runId, previousState, newState, ...(retryAtMs !== undefined && { retryAtMs }), atMs }
    return {
      ...runStateChanged.decided(sequence, payload, after(legal, payload)),
      applied: { type: 'run_state_transition', runId, previousState, newState } as const,
    }
  },
})

/** Checks: known; running; token; no attempt open; no lease left behind. */
export const runSuspend = defineCommand('run_suspend', {
  fields: { ...ofRun, ...fenced, reason: v.exactOptional(v.string()) },
  decide: (view, { runId, reason, atMs, fencingToken }, sequence) => {
    const legal = checkSuspend(knownRun(view, runId), fencingToken)
    const payload = { runId, ...(reason !== undefined && { reason }), atMs }
    return {
      ...runSuspended.decided(sequence, payload, after(legal, payload)),
      applied: { type: 'run_suspend', runId } as const,
    }
  },
})

/** Checks: known; suspended; task not cancelled. */
export const runResume = defineCommand('run_resume', {
  fields: ofRun,
  decide: (view, { runId, atMs }, sequence) => {
    const legal = checkResume(view, knownRun(view, runId))
    return {
      ...runResumed.decided(sequence, { runId, atMs }, after(legal, { atMs })),
      applied: { type: 'run_resume', runId } as const,
    }
  },
})

/**
 * The snapshot row of a run, with its history and attempts. It may be split: each attempt may have filled a record of
 * the journal.
 */
export const runRow = defineRow('run', {
  fields: {
    ...runInstanceEntries,
    retryAtMs: optionalTime,
    lease: v.exactOptional(leaseSchema),
    isWaiting: v.exactOptional(v.literal(true)),
    history: v.array(historyEntrySchema),
    attempts: v.array(attemptRecordSchema),
  },
  lists: ['history', 'attempts'],
  capture: ({ runs }) => runs.captured(),
  restore: (draft, run) => {
    checkRun(run)
    if (draft.view.run(run.id) !== undefined) throw new TaskError('snapshot_duplicate_run', { runId: run.id })
    const task = storedTask(draft, run.taskId, 'run')
    addRun(draft, { ...deepFreeze(run), taskId: task.spec.id })
    draft.put(draft.tables.tasks, task.spec.id, { ...task, progress: progressWithStored(task, run) })
  },
})

/** The run; raises `unknown_run`. */
export function knownRun(view: RunReads, runId: RunId): Run {
  const run = view.run(runId)
  if (run === undefined) throw new TaskError('unknown_run', { runId })
  return run
}

/** Raises `run_of_cancelled_task`. */
export function checkNotCancelled(view: TaskReads, { id: runId, taskId }: StandingRun): void {
  if (view.task(taskId)?.cancelledAtMs !== undefined) throw new TaskError('run_of_cancelled_task', { runId, taskId })
}

/** Raises `invalid_input` for a retry time in a transition to another state, and for one that is not a valid time. */
export function checkRetryAt(newState: RunState, retryAtMs: number | undefined): void {
  if (retryAtMs === undefined) return
  // The time may come from a caller's random source.
  const reason = newState === 'retry_wait' ? `not a time: ${retryAtMs}` : `does not go with ${newState}`
  if (newState === 'retry_wait' && Number.isSafeInteger(retryAtMs) && retryAtMs >= 0) return
  throw new InvalidInputError({ subject: 'command', field: 'retryAtMs', reason })
}

/** Raises the refusal if a run cannot be created. */
export function checkCreate(view: RunReads, runInstance: RunInstance): void {
  const { id: runId, taskId, state, attemptCount, currentAttemptId, createdAtMs, lastStateChangeAtMs } = runInstance
  const task = knownTask(view, taskId)
  if (view.run(runId) !== undefined) throw new TaskError('run_already_exists', { runId })
  if (state !== 'scheduled') throw new TaskError('run_create_requires_scheduled', { runId, state })
  if (task.cancelledAtMs !== undefined) throw new TaskError('task_already_cancelled', { taskId })
  if (attemptCount > 0 || currentAttemptId !== undefined || lastStateChangeAtMs !== createdAtMs) {
    throw new TaskError('run_create_requires_unstarted', { runId, attemptCount })
  }
}

/** The move of a run to another state; raises the refusal if it cannot be made. */
export function checkTransition<Of extends StandingRun>(
  view: TaskReads,
  run: Of,
  {
    previousState,
    newState,
    fencingToken,
  }: { readonly previousState: RunState; readonly newState: RunState; readonly fencingToken?: number | undefined },
): SelectedMove<Of> {
  const { id: runId } = run
  if (run.state !== previousState) {
    throw new TaskError('previous_state_mismatch', { runId, expected: previousState, actual: run.state })
  }
  const move = moveTo(newState)
  const selected = move && selectMove(run, move)
  if (selected === undefined || isUnheard(selected.selection)) {
    throw new TaskError('invalid_transition', { runId, from: run.state, to: newState })
  }
  const { currentAttemptId, lease } = run
  if (runChart.hasTag(statesOf({ state: newState, currentAttemptId, lease }), 'work')) checkNotCancelled(view, run)
  checkToken(run, fencingToken, { isRequired: newState !== 'cancelled' })
  checkRegions(run, selected.selection)
  return selected
}

/** The move that suspends a run; raises the refusal if it cannot be made. */
export function checkSuspend<Of extends StandingRun>(run: Of, fencingToken: number | undefined): SelectedMove<Of> {
  const selected = selectMove(run, { type: 'suspend' })
  if (isUnheard(selected.selection))
    throw new TaskError('run_suspend_requires_running', { runId: run.id, state: run.state })
  checkToken(run, fencingToken, { isRequired: true })
  checkRegions(run, selected.selection)
  return selected
}

/** The move that resumes a run; raises the refusal if it cannot be made. */
export function checkResume<Of extends StandingRun>(view: TaskReads, run: Of): SelectedMove<Of> {
  const selected = selectMove(run, { type: 'resume' })
  if (!selected.selection.isTaken)
    throw new TaskError('run_resume_requires_suspended', { runId: run.id, state: run.state })
  checkNotCancelled(view, run)
  return selected
}

/** Stages a new run and counts it for its task. Raises `replay_*`. */
export function insertRun(draft: RunDraft, runInstance: RunInstance, sequence: number): void {
  const task = replayedTask(draft.view, runInstance.taskId, sequence)
  // Use the task's own copy of the id, so that the event's can be collected.
  stageRun(draft, { ...deepFreeze(runInstance), taskId: task.spec.id }, sequence)
  countRun(draft, task, runInstance)
}

/** Stages a new run. Raises `replay_*`. */
export function stageRun(draft: RunDraft, runInstance: RunInstance, sequence: number): void {
  const { id, state, createdAtMs } = runInstance
  if (draft.view.run(id) !== undefined) throw new TaskError('replay_duplicate_event', { sequence, id })
  if (state !== 'scheduled') illegal(sequence, id, `created ${state}`)
  addRun(draft, { ...deepFreeze(runInstance), history: [{ to: state, atMs: createdAtMs }], attempts: [] })
}

/** The run of a stored event; raises `replay_invalid_transition`. */
export function replayedRun({ view }: RunDraft, { runId, sequence }: OfRun): Run {
  return view.run(runId) ?? illegal(sequence, runId, 'no such run')
}

/** Raises `replay_invalid_transition` for a run that is not in the state that a stored event says. */
export function checkReplayedState(run: Run, { sequence }: OfRun, state: RunState): void {
  if (run.state !== state) illegal(sequence, run.id, `it is ${run.state}, not ${state}`)
}

/**
 * Moves a run as an event says, or puts the run that was already `decided`; raises `replay_invalid_transition` if the
 * chart refuses.
 */
export function advanceRun(draft: RunDraft, event: OfRun, move: RunMove, facts: MoveFacts, decided?: Run): void {
  const run = replayedRun(draft, event)
  putRun(draft, event, run, decided ?? replayedMoves(run, event, [[move, facts]]))
}

/** The run after the moves of a stored event; raises `replay_invalid_transition`. */
export function replayedMoves(run: Run, { sequence }: OfRun, moves: Iterable<readonly [RunMove, MoveFacts]>): Run {
  const moving = inMotion(run)
  for (const [move, facts] of moves) {
    const selected = selectMove(moving, move)
    if (!selected.selection.isTaken) illegal(sequence, run.id, `${move.type} from ${moving.state}`)
    advance(selected, facts)
  }
  return rowOf(moving)
}

/** Stages a changed run; if it has ended, its task counts that. */
export function putRun(draft: RunDraft, event: OfRun, run: Run, next: Run): void {
  draft.put(draft.tables.runs, run.id, next)
  if (!isTerminalRunState(next.state)) return
  const task = replayedTask(draft.view, run.taskId, event.sequence)
  putTask(draft, task, { ...task, progress: progressAfterEnd(task.progress, next.state) }, event)
}

/** Stages the removal of a run; the caller updates the count of its task. */
export function removeRun(draft: RunDraft, { id, taskId }: Run): void {
  draft.put(draft.tables.runs, id, undefined)
  draft.add(draft.tables.runsByTask.remove(taskId, id))
}

function addRun(draft: RunDraft, run: Run): void {
  draft.put(draft.tables.runs, run.id, run)
  draft.add(draft.tables.runsByTask.add(run.taskId, run.id))
}

function countRun(draft: RunDraft, task: Task, run: RunInstance): void {
  const { spec, progress } = task
  draft.put(draft.tables.tasks, spec.id, { ...task, progress: progressWith(spec, progress, run) })
}

/** The progress of a task after one of its open runs has ended. */
export function progressAfterEnd(progress: TaskProgress, state: TerminalRunState): TaskProgress {
  const { open, completed, failed } = progress
  return sharedProgress({
    ...progress,
    open: open - 1,
    completed: completed + (state === 'completed' ? 1 : 0),
    failed: failed + (state === 'failed' ? 1 : 0),
  })
}

/** The progress of a task with one more run. */
export function progressWith(
  spec: Task['spec'],
  progress: TaskProgress,
  { state, scheduledAtMs }: RunInstance,
): TaskProgress {
  const { runs, open, completed, failed, lastScheduledAtMs = 0 } = progress
  return sharedProgress({
    runs: runs + 1,
    open: open + (isTerminalRunState(state) ? 0 : 1),
    completed: completed + (state === 'completed' ? 1 : 0),
    failed: failed + (state === 'failed' ? 1 : 0),
    ...(spec.runPolicy.type !== 'once' && { lastScheduledAtMs: Math.max(lastScheduledAtMs, scheduledAtMs) }),
  })
}

/** The same for a stored run: the position in the calendar is stored in the task's own row. */
function progressWithStored({ spec, progress }: Task, run: RunInstance): TaskProgress {
  const withRun = progressWith(spec, progress, run)
  if (withRun.lastScheduledAtMs === undefined) return withRun
  const { lastScheduledAtMs: _, ...counts } = withRun
  const { lastScheduledAtMs } = progress
  return sharedProgress(lastScheduledAtMs === undefined ? counts : { ...counts, lastScheduledAtMs })
}

/** True when no state of the run handles the move, whatever its data. */
function isUnheard({ isTaken, guard }: Selection): boolean {
  return !isTaken && guard === undefined
}

/** Raises the refusal that belongs to the guard which blocks an existing edge. */
function checkRegions({ id: runId, currentAttemptId, lease }: StandingRun, { isTaken, guard }: Selection): void {
  if (isTaken) return
  if (guard === 'isAttemptIdle' && currentAttemptId !== undefined) {
    throw new TaskError('attempt_still_active', { runId, activeAttemptId: currentAttemptId })
  }
  throw new TaskError('lease_still_held', { runId, owner: lease?.owner ?? '' })
}

function illegal(sequence: number, runId: RunId, reason: string): never {
  throw new TaskError('replay_invalid_transition', { sequence, runId, reason })
}
