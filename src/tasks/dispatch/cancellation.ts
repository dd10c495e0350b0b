import type { RunId, TaskId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import { hasEnded } from '../task.js'
import { isTerminalRunState } from '../run.js'
import type { Timestamp } from '../scalars.js'
import type { TaskView } from '../view.js'
import { moveRun } from './run-batches.js'

/** Runs of a task that are cancelled in one batch with it; more than these follow. */
const runsAtOnce = 256

/**
 * Cancels a task with its own runs, of which no more than fit a batch; the others and what is below the task follow
 * (see `FollowUps`).
 */
export function cancelTask(batch: TaskBatch, taskId: TaskId, now: Timestamp): void {
  const task = batch.view.task(taskId)
  if (task === undefined) return
  const timestamp = Math.max(now, task.createdAt)
  if (task.cancelledAt === undefined) batch.submit({ type: 'task_cancel', taskId, timestamp })
  if (task.progress.open === 0) return
  const open = batch.view.runsOf(taskId).filter(({ state }) => !isTerminalRunState(state))
  for (const { id } of open.slice(0, runsAtOnce)) cancelRun(batch, id, timestamp)
}

/** Cancels a run unless it has ended; an open attempt is dropped. */
export function cancelRun(batch: TaskBatch, runId: RunId, timestamp: Timestamp): void {
  const run = batch.view.run(runId)
  if (run !== undefined && !isTerminalRunState(run.state)) moveRun(batch, runId, run.state, 'cancelled', timestamp)
}

/** True when nothing of the task itself is left to cancel. */
export function isOver(view: Pick<TaskView, 'task'>, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task === undefined || hasEnded(task)
}
