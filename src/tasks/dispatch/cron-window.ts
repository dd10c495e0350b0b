import type { IdSource } from '../../base/ids.js'
import { nextOccurrence } from '../cron.js'
import { TaskError } from '../errors.js'
import type { RunId, TaskId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import type { FirstRun } from '../task-creation.js'
import { noProgress } from '../task.js'
import { freshRun, type RunInstance } from '../run.js'
import type { TaskSpec } from '../task-spec.js'
import type { Task, TaskProgress } from '../task.js'
import type { TaskProjection } from '../view.js'

/** How many runs of a repeating task wait or run at a time; the next one is made when one ends (T-160). */
export const occurrenceWindow = 5

/** True for tasks with a repeat or cron policy. */
export function isRepeating({ runPolicy }: Pick<TaskSpec, 'runPolicy'>): boolean {
  return runPolicy.type !== 'once'
}

/**
 * True while a repeating task has occurrences that may still get a run. A repetition goes on from its last run: one that
 * was created without any is left to whoever created it.
 */
export function hasMoreOccurrences({ spec, progress, cancelledAtMs }: Task): boolean {
  if (cancelledAtMs !== undefined || !isRepeating(spec)) return false
  if (spec.runPolicy.type === 'repeat' && progress.runs === 0) return false
  return progress.runs < occurrencesOf(spec)
}

/**
 * The runs a task starts with: its only one, or the first window, which includes the origin. Raises
 * `arithmetic_overflow` when a repetition would come too late to be counted (T-75).
 */
export function firstRuns(spec: TaskSpec, origin: number, ids: IdSource): FirstRun[] {
  const { runPolicy } = spec
  if (runPolicy.type === 'repeat' && !Number.isSafeInteger(origin + (runPolicy.count - 1) * runPolicy.intervalMs)) {
    throw new TaskError('arithmetic_overflow', { policy: 'repeat', operation: 'origin + index * interval' })
  }
  return nextTimes(spec, noProgress, origin).map((scheduledAtMs) => ({ id: ids.uuid() as RunId, scheduledAtMs }))
}

/**
 * The runs that a repeating task is short of; none for other tasks, for cancelled ones, and for those that a failed
 * prerequisite keeps from running for good.
 */
export function missingRuns(
  task: Task | undefined,
  projection: Pick<TaskProjection, 'dependencyGate'>,
  now: number,
  ids: IdSource,
): RunInstance[] {
  if (task === undefined || !hasMoreOccurrences(task)) return []
  if (projection.dependencyGate(task.spec.id) === 'failed') return []
  return nextTimes(task.spec, task.progress, now).map((scheduledAtMs) => runAt(task.spec, scheduledAtMs, now, ids))
}

/** Makes the runs that a task is short of; see {@link missingRuns}. */
export function fillWindow(
  batch: TaskBatch,
  projection: Pick<TaskProjection, 'dependencyGate'>,
  taskId: TaskId,
  now: number,
  ids: IdSource,
): void {
  for (const runInstance of missingRuns(batch.view.task(taskId), projection, now, ids)) {
    batch.submit({ type: 'run_create', runInstance })
  }
}

/** When the runs are due that a task is short of. */
function nextTimes(
  spec: TaskSpec,
  { runs: made, open, lastScheduledAtMs }: TaskProgress,
  origin: number,
): readonly number[] {
  const wanted = Math.min(occurrenceWindow - open, occurrencesOf(spec) - made)
  const times: number[] = []
  let last = lastScheduledAtMs
  while (times.length < wanted) {
    last = occurrenceAfter(spec, last, origin)
    if (last === undefined) break
    times.push(last)
  }
  return times
}

/** How many runs a task has in the end. */
function occurrencesOf({ runPolicy }: TaskSpec): number {
  switch (runPolicy.type) {
    case 'once':
      return 1
    case 'repeat':
      return runPolicy.count
    case 'cron':
      return runPolicy.maxOccurrences ?? Number.POSITIVE_INFINITY
  }
}

/** The occurrence that follows the last one, or the first from the origin on. */
function occurrenceAfter({ runPolicy }: TaskSpec, last: number | undefined, origin: number): number | undefined {
  switch (runPolicy.type) {
    case 'once':
      return last === undefined ? origin : undefined
    case 'repeat':
      return last === undefined ? origin : last + runPolicy.intervalMs
    case 'cron':
      return nextOccurrence(runPolicy.expression, last ?? origin - 1)
  }
}

function runAt(spec: TaskSpec, scheduledAtMs: number, createdAtMs: number, ids: IdSource): RunInstance {
  const { priority } = spec.metadata
  return freshRun({ id: ids.uuid() as RunId, taskId: spec.id, createdAtMs, scheduledAtMs, priority })
}
