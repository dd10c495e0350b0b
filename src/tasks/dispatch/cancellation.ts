import type { IdSource } from '../../base/ids.js'
import type { TaskBatch } from '../authority.js'
import { TaskError } from '../errors.js'
import type { RunId, TaskId } from '../ids.js'
import { isTerminalRunState } from '../run.js'
import { hasEnded, knownTask } from '../task.js'
import type { TaskProjection } from '../view.js'
import { fillWindow } from './cron-window.js'
import { cancelRun, cancelTask } from './runs.js'

/** What a cancellation found. */
export type CancelAnswer = 'cancelled' | 'already_cancelled' | 'already_ended'

/** Cancels a task that has not ended. Raises `unknown_task`. */
export function cancelOpenTask(batch: TaskBatch, taskId: TaskId, atMs: number): CancelAnswer {
  if (batch.view.tombstone(taskId) !== undefined) return 'already_ended'
  const task = knownTask(batch.view, taskId)
  if (task.cancelledAtMs !== undefined) return 'already_cancelled'
  if (hasEnded(task)) return 'already_ended'
  cancelTask(batch, taskId, atMs)
  return 'cancelled'
}

/** What is needed to replace a cancelled run of a repeating task. */
export interface WindowOptions {
  readonly projection: TaskProjection
  readonly wall: () => number
  readonly ids: IdSource
}

/** Cancels a run that has not ended. Raises `unknown_run`. */
export function cancelOpenRun(
  batch: TaskBatch,
  runId: RunId,
  atMs: number,
  { projection, wall, ids }: WindowOptions,
): CancelAnswer {
  const run = batch.view.run(runId)
  if (run === undefined) throw new TaskError('unknown_run', { runId })
  if (run.state === 'cancelled') return 'already_cancelled'
  if (isTerminalRunState(run.state)) return 'already_ended'
  cancelRun(batch, runId, atMs)
  fillWindow(batch, projection, run.taskId, wall(), ids)
  return 'cancelled'
}
