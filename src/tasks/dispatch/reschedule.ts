import type { IdSource } from '../../base/ids.js'
import type { TaskBatch } from '../authority.js'
import { TaskError } from '../errors.js'
import type { TaskId } from '../ids.js'
import { checkOccurs, checkRunPolicy, type RunPolicy } from '../task-spec.js'
import { knownTask } from '../task.js'
import { nextRuns } from './cron-window.js'

/**
 * Replaces the schedule of a task: runs that are not due yet are dropped, and the new policy begins now; a repetition
 * begins after its first interval. Raises `unknown_task`, the errors of a policy, and the refusals of its command.
 */
export function reschedule(batch: TaskBatch, taskId: TaskId, runPolicy: RunPolicy, now: number, ids: IdSource): void {
  const { spec, progress } = knownTask(batch.view, taskId)
  checkRunPolicy(runPolicy)
  checkOccurs(runPolicy, now)
  const dropped = batch.view
    .openRunsOf(taskId)
    .filter(({ state, scheduledAtMs }) => state === 'scheduled' && scheduledAtMs > now)
    .map(({ id }) => id)
  const { lastScheduledAtMs: _, ...rest } = progress
  const kept = { ...rest, runs: rest.runs - dropped.length, open: rest.open - dropped.length }
  const origin = runPolicy.type === 'repeat' ? now + runPolicy.intervalMs : now
  const runs = nextRuns({ ...spec, runPolicy }, kept, { origin, now }, ids)
  if (runs.length + kept.open === 0) throw new TaskError('schedule_without_runs', { taskId })
  batch.submit({ type: 'schedule_change', taskId, runPolicy, dropped, runs, atMs: now })
}
