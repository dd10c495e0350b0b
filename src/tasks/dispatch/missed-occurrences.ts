import type { IdSource } from '../../base/ids.js'
import type { TaskBatch } from '../authority.js'
import { nextOccurrence } from '../cron.js'
import type { TaskId } from '../ids.js'
import type { Run } from '../run.js'
import type { RunPolicy } from '../task-spec.js'
import type { Task } from '../task.js'
import { nextRuns } from './cron-window.js'
import { cancelRun } from './runs.js'
import type { TaskClock } from './task-clock.js'

/** How to tell a missed occurrence from one that is due. */
export interface MissedOptions {
  readonly times: TaskClock
  /** Since when occurrences are promoted on time, in epoch milliseconds. */
  readonly watchedSince: () => number
  readonly ids: IdSource
}

/**
 * Milliseconds of delay after which an occurrence counts as missed although the process was running: the clock may have
 * been set forward, or the machine asleep.
 */
const latestMs = 60_000

type CronPolicy = Extract<RunPolicy, { type: 'cron' }>

/** True for a task of which a due run may be left out, so that its runs are promoted before they start. */
export function mayLeaveOut(task: Task | undefined): boolean {
  return task?.spec.runPolicy.type === 'cron'
}

/**
 * The due runs that should be promoted. The other due runs of a cron task are dropped in the same batch: missed ones,
 * unless the task makes up for all, and, if it skips overlapping occurrences, those due while an earlier run has not
 * ended.
 */
export function leaveOutMissed(batch: TaskBatch, due: readonly Run[], options: MissedOptions): readonly Run[] {
  const left = new Map<TaskId, ReadonlySet<Run['id']>>()
  return due.filter(({ id, taskId }) => {
    const task = batch.view.task(taskId)
    if (task?.spec.runPolicy.type !== 'cron') return true
    const { catchUp, overlap } = task.spec.runPolicy
    if (catchUp === 'all' && overlap !== 'skip') return true
    const dropped = left.get(taskId) ?? leaveOut(batch, task, task.spec.runPolicy, options)
    left.set(taskId, dropped)
    return !dropped.has(id)
  })
}

function leaveOut(batch: TaskBatch, task: Task, policy: CronPolicy, options: MissedOptions): ReadonlySet<Run['id']> {
  const { times, ids } = options
  const wall = times.wall()
  const open = batch.view.openRunsOf(task.spec.id)
  const due = open
    .filter((run) => run.state === 'scheduled' && isDue(run, wall))
    .toSorted((one, other) => one.scheduledAtMs - other.scheduledAtMs)
  const isBusy = open.some(({ state }) => state !== 'scheduled')
  const kept = new Set(withoutOverlaps(withoutMissed(due, policy, wall, options.watchedSince()), policy, isBusy))
  const dropped = due.filter((run) => !kept.has(run)).map(({ id }) => id)
  if (dropped.length === 0) return new Set()
  const { runs, open: openRuns, ...progress } = task.progress
  const rest = { ...progress, runs: runs - dropped.length, open: openRuns - dropped.length }
  const next = nextRuns(task.spec, rest, { origin: wall, now: wall }, ids)
  if (rest.runs + next.length === 0) {
    // Without these runs, nothing would be left that could end the task.
    for (const id of dropped) cancelRun(batch, id, times.now())
  } else {
    batch.submit({ type: 'schedule_change', taskId: task.spec.id, dropped, runs: next, atMs: times.now() })
  }
  return new Set(dropped)
}

function isDue({ scheduledAtMs, createdAtMs }: Run, wall: number): boolean {
  return scheduledAtMs <= wall || scheduledAtMs <= createdAtMs
}

/**
 * From due runs, earliest first, keeps the last one, unless a later occurrence has passed since, or none is made up
 * for.
 */
function withoutMissed(
  due: readonly Run[],
  { expression, timezone, catchUp = 'latest' }: CronPolicy,
  wall: number,
  watchedSince: number,
): readonly Run[] {
  if (catchUp === 'all') return due
  const last = due.at(-1)
  if (last === undefined) return []
  const next = nextOccurrence(expression, last.scheduledAtMs, timezone)
  if (next !== undefined && next <= wall) return []
  const earliest = catchUp === 'latest' ? Number.NEGATIVE_INFINITY : Math.max(watchedSince, wall - latestMs)
  return last.scheduledAtMs < earliest ? [] : [last]
}

function withoutOverlaps(due: readonly Run[], { overlap }: CronPolicy, isBusy: boolean): readonly Run[] {
  if (overlap !== 'skip') return due
  return isBusy ? [] : due.slice(0, 1)
}
