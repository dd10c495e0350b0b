import type { RunId, TaskId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import { hasEnded } from '../phase.js'
import { isTerminalRunState } from '../run.js'
import type { TaskView } from '../view.js'
import { moveRun } from './run-batches.js'

/** Runs of a task that are cancelled in one batch with it; more than these follow. */
const runsAtOnce = 256

/**
 * Cancels a task with its own runs, of which no more than fit a batch; the others and what is below the task follow
 * (see `FollowUps`).
 */
export function cancelTask(batch: TaskBatch, taskId: TaskId, now: number): void {
  const task = batch.view.task(taskId)
  if (task === undefined) return
  const atMs = Math.max(now, task.createdAtMs)
  if (task.cancelledAtMs === undefined) batch.submit({ type: 'task_cancel', taskId, atMs })
  if (task.progress.open === 0) return
  const open = batch.view.runsOf(taskId).filter(({ state }) => !isTerminalRunState(state))
  for (const { id } of open.slice(0, runsAtOnce)) cancelRun(batch, id, atMs)
}

/** Cancels a run unless it has ended; an open attempt is dropped. */
export function cancelRun(batch: TaskBatch, runId: RunId, atMs: number): void {
  const run = batch.view.run(runId)
  if (run !== undefined && !isTerminalRunState(run.state)) moveRun(batch, runId, run.state, 'cancelled', atMs)
}

/** True when nothing of the task itself is left to cancel. */
export function isOver(view: Pick<TaskView, 'task'>, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task === undefined || hasEnded(task)
}
