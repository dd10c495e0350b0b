import type { IdSource } from '../../base/ids.js'
import { nextOccurrence } from '../cron.js'
import type { RunId } from '../ids.js'
import { createRun, type RunInstance } from '../run.js'
import type { Timestamp } from '../scalars.js'
import type { TaskSpec } from '../task-spec.js'

/** How many runs of a cron task wait or run at a time (spec mutation authority 7.3). */
export const cronWindow = 5

/** The runs a task starts with: all of them, or for cron the first window, which includes the second of `now`. */
export function firstRuns(spec: TaskSpec, now: Timestamp, ids: IdSource): RunInstance[] {
  const { runPolicy } = spec
  switch (runPolicy.type) {
    case 'once':
      return [runAt(spec, now, now, ids)]
    case 'repeat':
      return Array.from({ length: runPolicy.count }, (_, index) =>
        runAt(spec, safeSum(now, index * runPolicy.intervalSecs), now, ids),
      )
    case 'cron':
      return cronRuns(spec, { after: now - 1, created: 0, open: 0 }, now, ids)
  }
}

/** How far the runs of a cron task have been derived. */
export interface CronProgress {
  /** The latest time a run was scheduled for. */
  readonly after: Timestamp
  /** Runs ever created. */
  readonly created: number
  /** Runs that have not ended. */
  readonly open: number
}

/** The runs that fill the window of a cron task again. */
export function cronRuns(spec: TaskSpec, progress: CronProgress, now: Timestamp, ids: IdSource): RunInstance[] {
  const { runPolicy } = spec
  if (runPolicy.type !== 'cron') return []
  const left = (runPolicy.maxOccurrences ?? Number.POSITIVE_INFINITY) - progress.created
  const wanted = Math.min(cronWindow - progress.open, left)
  const runs: RunInstance[] = []
  for (let after = progress.after; runs.length < wanted; ) {
    const next = nextOccurrence(runPolicy.expression, after)
    if (next === undefined) break
    runs.push(runAt(spec, next, now, ids))
    after = next
  }
  return runs
}

function runAt(spec: TaskSpec, scheduledAt: Timestamp, createdAt: Timestamp, ids: IdSource): RunInstance {
  const { priority } = spec.metadata
  return createRun({ id: ids.uuid() as RunId, taskId: spec.id, createdAt, scheduledAt, priority })
}

/** Raises `RangeError` instead of losing whole seconds: all runs are derived, or none. */
function safeSum(origin: Timestamp, offset: number): Timestamp {
  const sum = origin + offset
  if (!Number.isSafeInteger(sum)) throw new RangeError(`occurrence beyond the last countable second: ${sum}`)
  return sum
}
