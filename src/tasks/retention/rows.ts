import { hasEnded, type Task } from '../task.js'
import type { TaskId } from '../ids.js'
import type { Run } from '../run.js'
import { isTerminalRunState } from '../run.js'
import type { TaskProjection } from '../view.js'
import type { ArchivedTask } from './options.js'

/** When a task ended, in epoch milliseconds: with its last run, or with its cancellation. */
export function endedAtMs(projection: TaskProjection, { spec, createdAtMs, cancelledAtMs }: Task): number {
  let last = cancelledAtMs ?? createdAtMs
  for (const { lastStateChangeAtMs } of projection.runsOf(spec.id)) last = Math.max(last, lastStateChangeAtMs)
  return last
}

/**
 * A task and all its descendants, children before parents. Computed lazily, so that the caller can give turns to the
 * event loop in between.
 */
export function* treeOf(projection: TaskProjection, taskId: TaskId): Iterable<TaskId> {
  for (const child of projection.children(taskId)) yield* treeOf(projection, child)
  yield taskId
}

/** All rows of a task that is about to be forgotten. */
export function archivedTask(projection: TaskProjection, task: Task): ArchivedTask {
  const taskId = task.spec.id
  const budgets = Array.from(projection.budgetsOf(taskId))
  return { ...archivedRuns(projection, task, projection.runsOf(taskId)), isWhole: true, budgets }
}

/** The rows of runs that are about to be forgotten. */
export function archivedRuns(projection: TaskProjection, task: Task, runs: readonly Run[]): ArchivedTask {
  const steps = runs.flatMap(({ id }) => Array.from(projection.stepsOf(id)))
  const waits = runs.flatMap(({ id }) => Array.from(projection.waitsOf(id)))
  return { taskId: task.spec.id, isWhole: false, task, runs, steps, waits, budgets: [] }
}

/** Some of the ended runs of a repeating task beyond the last `kept`, oldest first. */
export function oldRunsOf(projection: TaskProjection, taskId: TaskId, kept: number, most: number): readonly Run[] {
  const task = projection.task(taskId)
  if (task === undefined) return []
  const { progress, forgottenRuns } = task
  const beyond = progress.runs - progress.open - (forgottenRuns?.runs ?? 0) - kept
  const old: Run[] = []
  if (beyond <= 0) return old
  for (const run of projection.runsInOrder(taskId)) {
    if (old.length >= Math.min(beyond, most)) break
    if (isTerminalRunState(run.state)) old.push(run)
  }
  return old
}

/**
 * The root of the tree with which a task is kept and forgotten: its topmost ancestor, or the child of an open repeating
 * task.
 */
export function unitOf(projection: TaskProjection, taskId: TaskId): Task | undefined {
  let unit = projection.task(taskId)
  while (unit?.spec.parentTaskId !== undefined) {
    const parent = projection.task(unit.spec.parentTaskId)
    if (parent === undefined || (parent.spec.runPolicy.type !== 'once' && !hasEnded(parent))) return unit
    unit = parent
  }
  return unit
}
