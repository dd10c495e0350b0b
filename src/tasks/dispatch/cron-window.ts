import type { IdSource } from '../../base/ids.js'
import { latestOccurrence, nextOccurrence } from '../cron.js'
import { TaskError } from '../errors.js'
import type { RunId, TaskId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import type { FirstRun } from '../task-creation.js'
import { noProgress } from '../task.js'
import { freshRun, type RunInstance } from '../run.js'
import type { RunPolicy, TaskSpec } from '../task-spec.js'
import type { Task, TaskProgress } from '../task.js'
import type { TaskProjection } from '../view.js'

/** How many runs of a repeating task exist at a time, waiting or running; the next is created when one ends (T-160). */
export const occurrenceWindow = 5

/** True for tasks with a repeat or cron policy. */
export function isRepeating({ runPolicy }: Pick<TaskSpec, 'runPolicy'>): boolean {
  return runPolicy.type !== 'once'
}

/**
 * True while a repeating task has occurrences without a run. A repetition continues from its last run, so one created
 * without runs is left to its creator.
 */
export function hasMoreOccurrences({ spec, progress, cancelledAtMs }: Task): boolean {
  if (cancelledAtMs !== undefined || !isRepeating(spec)) return false
  if (spec.runPolicy.type === 'repeat' && progress.runs === 0) return false
  return progress.runs < occurrencesOf(spec)
}

/**
 * The first runs of a task: its only one, or the first window, which includes the origin. Raises `arithmetic_overflow`
 * when a repetition would be due beyond the last countable millisecond (T-75).
 */
export function firstRuns(
  spec: TaskSpec,
  { origin, now }: { readonly origin: number; readonly now: number },
  ids: IdSource,
): FirstRun[] {
  const { runPolicy } = spec
  if (runPolicy.type === 'repeat' && !Number.isSafeInteger(origin + (runPolicy.count - 1) * runPolicy.intervalMs)) {
    throw new TaskError('arithmetic_overflow', { policy: 'repeat', operation: 'origin + index * interval' })
  }
  return nextRuns(spec, noProgress, { origin, now }, ids)
}

/**
 * The runs that a repeating task needs to fill its window; none for other tasks, cancelled ones, and those that can
 * never run because a prerequisite failed.
 */
export function missingRuns(
  task: Task | undefined,
  projection: Pick<TaskProjection, 'dependencyGate'>,
  now: number,
  ids: IdSource,
): RunInstance[] {
  if (task === undefined || !hasMoreOccurrences(task)) return []
  if (projection.dependencyGate(task.spec.id) === 'failed') return []
  return nextRuns(task.spec, task.progress, { origin: now, now }, ids).map((run) => instanceOf(task.spec, run, now))
}

/** Creates the missing runs of a task; see {@link missingRuns}. */
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

/** When a task's calendar begins, and the time before which occurrences count as missed. */
interface Times {
  readonly origin: number
  readonly now: number
}

/** The runs missing for a task with this progress. */
export function nextRuns(
  spec: TaskSpec,
  { runs: made, open, lastScheduledAtMs }: TaskProgress,
  times: Times,
  ids: IdSource,
): FirstRun[] {
  const wanted = Math.min(occurrenceWindow - open, occurrencesOf(spec) - made)
  const runs: FirstRun[] = []
  let last = lastScheduledAtMs
  while (runs.length < wanted) {
    last = occurrenceAfter(spec, last, times)
    if (last === undefined) break
    runs.push({ id: ids.uuid() as RunId, scheduledAtMs: last })
  }
  return runs
}

/** How many runs a task has in total. */
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

/** The occurrence after the last one, or the first from the origin on. */
function occurrenceAfter({ runPolicy }: TaskSpec, last: number | undefined, times: Times): number | undefined {
  switch (runPolicy.type) {
    case 'once':
      return last === undefined ? times.origin : undefined
    case 'repeat':
      return last === undefined ? times.origin : last + runPolicy.intervalMs
    case 'cron':
      return cronOccurrenceAfter(runPolicy, last ?? times.origin - 1, times.now)
  }
}

/** The next occurrence of a cron policy, leaving out missed ones as the policy says. */
function cronOccurrenceAfter(
  policy: Extract<RunPolicy, { type: 'cron' }>,
  last: number,
  now: number,
): number | undefined {
  const { expression, timezone, catchUp = 'latest' } = policy
  const next = nextOccurrence(expression, last, timezone)
  if (next === undefined || next >= now || catchUp === 'all') return next
  if (catchUp === 'none') return nextOccurrence(expression, now - 1, timezone)
  return Math.max(next, latestOccurrence(policy, now) ?? next)
}

function instanceOf(spec: TaskSpec, { id, scheduledAtMs }: FirstRun, createdAtMs: number): RunInstance {
  return freshRun({ id, taskId: spec.id, createdAtMs, scheduledAtMs, priority: spec.metadata.priority })
}
