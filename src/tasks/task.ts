import * as v from 'valibot'
import { deepFreeze } from '../base/freeze.js'
import { isNilUuid } from '../base/ids.js'
import { strictSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import type { TerminalRunState } from '../../machines/run-vocabulary.js'
import { TaskError } from './errors.js'
import type { TaskId } from './ids.js'
import { naturalSchema, ofTask, optionalTime } from './scalars.js'
import { holderOfKey, indexKey, type KeyReads, type KeyRows } from './task-key.js'
import { stageTaskEnd, type EndRows } from './task-end.js'
import { checkTaskSpec, storedTaskSpecSchema, type TaskSpec } from './task-spec.js'

/** A task in the projection. An immutable row. */
export interface Task {
  readonly spec: TaskSpec
  readonly createdAtMs: number
  readonly cancelledAtMs?: number
  /** 0 for a task without a parent. */
  readonly depth: number
  readonly progress: TaskProgress
  /** Runs that were forgotten but still count. */
  readonly forgottenRuns?: ForgottenRuns
}

/** How many runs of a task were forgotten while the task stayed, and how they ended. */
export interface ForgottenRuns {
  readonly runs: number
  readonly completed: number
  readonly failed: number
}

/** Counts of a task's runs, kept up to date so that reading them costs O(1). */
export interface TaskProgress {
  readonly runs: number
  /** Runs in a state that can still change. */
  readonly open: number
  readonly completed: number
  readonly failed: number
  /** Position in the calendar of a repeating task, in epoch milliseconds: its next run comes after it. */
  readonly lastScheduledAtMs?: number
}

/** The tables defined in this file. */
export interface TaskRows extends KeyRows, EndRows {
  readonly tasks: Table<TaskId, Task>
}

/** The reads defined in this file. */
export interface TaskReads extends KeyReads {
  task(taskId: TaskId): Task | undefined
  /** What is left of a forgotten task. */
  tombstone(taskId: TaskId): { readonly status: TerminalRunState; readonly forgottenAtMs: number } | undefined
}

/** The state of a task as a whole: `open`, or how it ended. */
export type TaskPhase = 'open' | TerminalRunState

/** The progress of a task without runs. */
export const noProgress: TaskProgress = deepFreeze({ runs: 0, open: 0, completed: 0, failed: 0 })

/** Every possible progress of a task with one run, as nearly all have; each is kept once. */
const ofOneRun: readonly TaskProgress[] = deepFreeze([
  { runs: 1, open: 1, completed: 0, failed: 0 },
  { runs: 1, open: 0, completed: 1, failed: 0 },
  { runs: 1, open: 0, completed: 0, failed: 1 },
  { runs: 1, open: 0, completed: 0, failed: 0 },
])

/** The same progress, as a shared object where many tasks have it. */
export function sharedProgress(progress: TaskProgress): TaskProgress {
  const { runs, open, completed, failed, lastScheduledAtMs } = progress
  if (runs !== 1 || lastScheduledAtMs !== undefined) return progress
  for (const one of ofOneRun) {
    if (one.open === open && one.completed === completed && one.failed === failed) return one
  }
  return progress
}

/**
 * The phase of a task. A task has ended when none of its runs can change any more; a task that never had a run has
 * ended once it is cancelled. `completed`: at least one run completed; `failed`: none completed and one failed;
 * `cancelled`: all its runs were cancelled, or there were none.
 *
 * This is the only definition: dependents, waiters, parents and follow-ups all use it. Whether a task was *marked* as
 * cancelled is a different question, since its runs may still be in progress.
 */
export function phaseOf({ progress, cancelledAtMs }: Pick<Task, 'progress' | 'cancelledAtMs'>): TaskPhase {
  const { runs, open, completed, failed } = progress
  if (open > 0 || (runs === 0 && cancelledAtMs === undefined)) return 'open'
  if (completed > 0) return 'completed'
  return failed > 0 ? 'failed' : 'cancelled'
}

/** True for a task that has ended; false for an unknown task. */
export function hasEnded(task: Task | undefined): boolean {
  return task !== undefined && phaseOf(task) !== 'open'
}

const defineEvent = eventDefiner<TaskRows, TaskReads>()
const defineCommand = commandDefiner<TaskReads>()
const defineRow = rowDefiner<TaskRows, TaskReads>()

/** Marks the task as cancelled; separate events cancel its runs. */
export const taskCancelled = defineEvent('task_cancelled', {
  fields: ofTask,
  evolve: (draft, { taskId, atMs, sequence }) => {
    const task = replayedTask(draft.view, taskId, sequence)
    if (task.cancelledAtMs !== undefined) {
      throw new TaskError('replay_task_already_cancelled', {
        sequence,
        taskId,
        firstCancelledAtMs: task.cancelledAtMs,
        duplicateCancelledAtMs: atMs,
      })
    }
    putTask(draft, task, { ...task, cancelledAtMs: atMs }, { sequence, atMs })
  },
})

/** Checks: known; not cancelled; not before it was created. */
export const taskCancel = defineCommand('task_cancel', {
  fields: ofTask,
  decide: (view, { taskId, atMs }, sequence) => {
    const task = knownTask(view, taskId)
    if (task.cancelledAtMs !== undefined) throw new TaskError('task_already_cancelled', { taskId })
    if (atMs < task.createdAtMs) {
      throw new TaskError('cancel_before_create', { taskId, createdAtMs: task.createdAtMs, cancelledAtMs: atMs })
    }
    return {
      event: taskCancelled.create(sequence, { taskId, atMs }),
      applied: { type: 'task_cancel', taskId } as const,
    }
  },
})

/** The snapshot row of a task, without the depth and progress that follow from parents and runs. */
export const taskRow = defineRow('task', {
  fields: {
    spec: storedTaskSpecSchema,
    createdAtMs: naturalSchema,
    cancelledAtMs: optionalTime,
    /** For a repeating task: where its calendar continues, whatever happened to its runs. */
    lastScheduledAtMs: optionalTime,
    forgottenRuns: v.exactOptional(
      strictSchema({ runs: naturalSchema, completed: naturalSchema, failed: naturalSchema }),
    ),
  },
  capture: ({ tasks }) => {
    const captured = tasks.captured()
    return { count: captured.count, rows: () => withCalendars(captured.rows()) }
  },
  restore: (draft, { lastScheduledAtMs, ...stored }) => {
    const { spec, createdAtMs, cancelledAtMs } = stored
    const taskId = spec.id
    if (isNilUuid(taskId)) throw new TaskError('snapshot_nil_id', { id: taskId })
    checkTaskSpec(spec)
    if (draft.view.task(taskId) !== undefined) throw new TaskError('snapshot_duplicate_task', { taskId })
    if (cancelledAtMs !== undefined && cancelledAtMs < createdAtMs) {
      throw new TaskError('snapshot_cancelled_before_created', { taskId })
    }
    const { parentTaskId, key } = spec
    if (key !== undefined && holderOfKey(draft.view, spec) !== undefined) {
      throw new TaskError('snapshot_key_in_use', { taskId, key })
    }
    const parent = parentTaskId === undefined ? undefined : draft.view.task(parentTaskId)
    if (parentTaskId !== undefined && parent === undefined) throw new TaskError('snapshot_unknown_parent', { taskId })
    draft.put(draft.tables.tasks, taskId, {
      ...deepFreeze(stored),
      depth: parent === undefined ? 0 : parent.depth + 1,
      progress:
        lastScheduledAtMs === undefined && stored.forgottenRuns === undefined
          ? noProgress
          : { ...noProgress, ...stored.forgottenRuns, ...(lastScheduledAtMs !== undefined && { lastScheduledAtMs }) },
    })
    indexKey(draft, spec)
  },
})

function* withCalendars(rows: Iterable<Task>): Iterable<Task & { readonly lastScheduledAtMs?: number }> {
  for (const row of rows) {
    const { lastScheduledAtMs } = row.progress
    yield lastScheduledAtMs === undefined ? row : { ...row, lastScheduledAtMs }
  }
}

/** Stages a changed task, and its end if the change ended it. */
export function putTask(
  draft: Draft<TaskRows, unknown>,
  before: Task,
  task: Task,
  { sequence: seq, atMs: endedAtMs }: { readonly sequence: number; readonly atMs: number },
): void {
  const { id: taskId, kind, key } = task.spec
  draft.put(draft.tables.tasks, taskId, task)
  const status = phaseOf(task)
  if (status === 'open' || hasEnded(before)) return
  stageTaskEnd(draft, { seq, taskId, kind, ...(key !== undefined && { key }), status, endedAtMs })
}

/** The error for a task that is not there: it was forgotten, or never existed. */
export function unknownTask(view: Pick<TaskReads, 'tombstone'>, taskId: TaskId): TaskError {
  const tombstone = view.tombstone(taskId)
  if (tombstone === undefined) return new TaskError('unknown_task', { taskId })
  const { status, forgottenAtMs } = tombstone
  return new TaskError('no_longer_retained', { taskId, status, forgottenAtMs })
}

/** The task; raises `unknown_task`, or `no_longer_retained` if it was forgotten. */
export function knownTask(view: TaskReads, taskId: TaskId): Task {
  const task = view.task(taskId)
  if (task === undefined) throw unknownTask(view, taskId)
  return task
}

/** The task of a stored event; raises `replay_task_unknown`. */
export function replayedTask(view: TaskReads, taskId: TaskId, sequence: number): Task {
  const task = view.task(taskId)
  if (task === undefined) throw new TaskError('replay_task_unknown', { sequence, taskId })
  return task
}

/** The task that a row refers to; raises `snapshot_unknown_task`. */
export function storedTask({ view }: Draft<unknown, TaskReads>, taskId: TaskId, row: string): Task {
  const task = view.task(taskId)
  if (task === undefined) throw new TaskError('snapshot_unknown_task', { taskId, row })
  return task
}

/** Raises `snapshot_duplicate_row` for a row that already exists. */
export function checkNewRow(existing: object | undefined, row: string, id: string): void {
  if (existing !== undefined) throw new TaskError('snapshot_duplicate_row', { row, id })
}

/** False for a cancelled task, even if its runs are still in progress. */
export function takesChildren(task: Task): boolean {
  return task.cancelledAtMs === undefined && !hasEnded(task)
}
