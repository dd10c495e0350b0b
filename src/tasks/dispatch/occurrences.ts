import type { IdSource } from '../../base/ids.js'
import { nextOccurrence } from '../cron.js'
import { TaskError } from '../errors.js'
import type { RunId, TaskId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import { freshRun, type RunInstance } from '../run.js'
import type { Timestamp } from '../scalars.js'
import type { TaskSpec } from '../task-spec.js'
import type { TaskProgress } from '../view.js'

/** How many runs of a cron task wait or run at a time (spec mutation authority 7.3). */
export const cronWindow = 5

/** When the runs of a task are created and due for the first time. */
export interface Origin {
  readonly origin: Timestamp
  readonly createdAt: Timestamp
}

/**
 * The runs a task starts with: all of them, or for cron the first window, which includes the second of the origin.
 * Raises `arithmetic_overflow` instead of deriving only some (spec mutation authority 7.3).
 */
export function firstRuns(spec: TaskSpec, { origin, createdAt }: Origin, ids: IdSource): RunInstance[] {
  const { runPolicy } = spec
  switch (runPolicy.type) {
    case 'once':
      return [runAt(spec, origin, createdAt, ids)]
    case 'repeat': {
      const { count, intervalSecs } = runPolicy
      const last = origin + (count - 1) * intervalSecs
      if (!Number.isSafeInteger(last)) {
        throw new TaskError('arithmetic_overflow', { policy: 'repeat', operation: 'origin + index * interval' })
      }
      return Array.from({ length: count }, (_, index) => runAt(spec, origin + index * intervalSecs, createdAt, ids))
    }
    case 'cron':
      return cronRuns(spec, { runs: 0, open: 0, completed: 0, lastScheduledAt: origin - 1 }, createdAt, ids)
  }
}

/** Derives the runs that a cron task is short of; nothing for other tasks and canceled ones. */
export function fillCronWindow(batch: TaskBatch, taskId: TaskId, now: Timestamp, ids: IdSource): void {
  const task = batch.view.task(taskId)
  if (task === undefined || task.spec.runPolicy.type !== 'cron' || task.canceledAt !== undefined) return
  const progress = { lastScheduledAt: now - 1, ...task.progress }
  for (const runInstance of cronRuns(task.spec, progress, now, ids)) batch.submit({ type: 'run_create', runInstance })
}

function cronRuns(spec: TaskSpec, progress: TaskProgress, now: Timestamp, ids: IdSource): RunInstance[] {
  const { runPolicy } = spec
  if (runPolicy.type !== 'cron') return []
  const left = (runPolicy.maxOccurrences ?? Number.POSITIVE_INFINITY) - progress.runs
  const wanted = Math.min(cronWindow - progress.open, left)
  const runs: RunInstance[] = []
  for (let after = progress.lastScheduledAt ?? now - 1; runs.length < wanted; ) {
    const next = nextOccurrence(runPolicy.expression, after)
    if (next === undefined) break
    runs.push(runAt(spec, next, now, ids))
    after = next
  }
  return runs
}

function runAt(spec: TaskSpec, scheduledAt: Timestamp, createdAt: Timestamp, ids: IdSource): RunInstance {
  const { priority } = spec.metadata
  return freshRun({ id: ids.uuid() as RunId, taskId: spec.id, createdAt, scheduledAt, priority })
}
