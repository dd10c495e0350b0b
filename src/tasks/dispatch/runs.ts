import type { RunId, TaskId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import { hasEnded } from '../task.js'
import { isTerminalRunState, type Run, type RunState } from '../run.js'
import type { Task } from '../task.js'
import type { TaskProjection, TaskView } from '../view.js'

/** Moves one run along an edge. */
export function moveRun(
  batch: TaskBatch,
  runId: RunId,
  previousState: RunState,
  newState: RunState,
  atMs: number,
  more: { readonly fencingToken?: number; readonly retryAtMs?: number } = {},
): void {
  batch.submit({ type: 'run_state_transition', runId, previousState, newState, atMs, ...more })
}

/**
 * Makes runs ready that are still in `from`, except those of cancelled tasks; does nothing while the engine is paused.
 * Returns how many moved.
 */
export function promoteRuns(
  batch: TaskBatch,
  runIds: readonly RunId[],
  from: 'scheduled' | 'retry_wait',
  atMs: number,
): number {
  if (batch.view.engine.paused) return 0
  let count = 0
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== from || isCancelled(batch.view, run.taskId)) continue
    moveRun(batch, runId, from, 'ready', atMs)
    count += 1
  }
  return count
}

/** Makes suspended runs ready again, except those of cancelled tasks. */
export function resumeRuns(batch: TaskBatch, runIds: Iterable<RunId>, atMs: number): void {
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== 'suspended' || isCancelled(batch.view, run.taskId)) continue
    batch.submit({ type: 'run_resume', runId, atMs })
  }
}

/** Why a suspended run was suspended. */
export function suspendReasonOf({ history }: Run): string | undefined {
  return history.at(-1)?.reason
}

/**
 * True for a run that was suspended because of its budget and may go on, since one of its budgets was replenished.
 * Computed from durable state, so a crash between a replenishment and the resumption makes no difference.
 */
export function isResumptionPending(projection: Pick<TaskProjection, 'task' | 'budgetsOf'>, run: Run): boolean {
  if (run.state !== 'suspended' || suspendReasonOf(run) !== 'budget_exhausted') return false
  for (const { spec } of lineage(projection, run.taskId)) {
    for (const { replenishedAtMs } of projection.budgetsOf(spec.id)) {
      if (replenishedAtMs !== undefined && replenishedAtMs >= run.lastStateChangeAtMs) return true
    }
  }
  return false
}

/** How many runs of a task are cancelled in one batch with it; further ones follow. */
const runsAtOnce = 256

/**
 * Cancels a task with as many of its runs as fit one batch; further runs and its descendants follow (see `FollowUps`).
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

/** Cancels a run unless it has ended; its open attempt is dropped. */
export function cancelRun(batch: TaskBatch, runId: RunId, atMs: number): void {
  const run = batch.view.run(runId)
  if (run !== undefined && !isTerminalRunState(run.state)) moveRun(batch, runId, run.state, 'cancelled', atMs)
}

/** True when the task itself has nothing left to cancel. */
export function isOver(view: Pick<TaskView, 'task'>, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task === undefined || hasEnded(task)
}

/** A task and its ancestors, nearest first. */
export function lineage(view: Pick<TaskView, 'task'>, taskId: TaskId): readonly Task[] {
  const tasks: Task[] = []
  let task = view.task(taskId)
  while (task !== undefined) {
    tasks.push(task)
    const { parentTaskId } = task.spec
    task = parentTaskId === undefined ? undefined : view.task(parentTaskId)
  }
  return tasks
}

/**
 * True when the task or an ancestor is cancelled: its runs must not start, even before the cancellation has reached
 * them.
 */
export function isCancelled(view: Pick<TaskView, 'task'>, taskId: TaskId): boolean {
  return anyCancelled(lineage(view, taskId))
}

/** The same for the lineage of a task. */
export function anyCancelled(tasks: readonly Task[]): boolean {
  for (const { cancelledAtMs } of tasks) if (cancelledAtMs !== undefined) return true
  return false
}
