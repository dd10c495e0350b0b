import type { CommandOf } from '../commands.js'
import { TaskError } from '../errors.js'
import type { TaskId } from '../ids.js'
import { hasEnded } from '../phase.js'
import type { Task, TaskView } from '../view.js'
import { fact, type Decision } from './decision.js'

/** The deepest place below a task without a parent (spec mutation authority 7.9). */
export const depthLimit = 8

/** Checks: not known; parent known and not finished; depth. */
export function taskCreate(
  view: TaskView,
  command: CommandOf<'task_create'>,
  sequence: number,
): Decision<'task_create'> {
  const { taskSpec, atMs } = command
  const { id: taskId, parentTaskId } = taskSpec
  if (view.task(taskId) !== undefined) throw new TaskError('task_already_exists', { taskId })
  if (parentTaskId !== undefined) {
    const parent = view.task(parentTaskId)
    if (parent === undefined || !takesChildren(parent))
      throw new TaskError('orphan_prevention', { taskId, parentTaskId })
    const depth = parent.depth + 1
    if (depth > depthLimit) throw new TaskError('depth_limit_exceeded', { depth, limit: depthLimit })
  }
  return {
    event: fact(sequence, 'task_created', { taskSpec, atMs }),
    applied: { type: 'task_create', taskId },
  }
}

/** Checks: known; not cancelled; not before it was created. */
export function taskCancel(
  view: TaskView,
  command: CommandOf<'task_cancel'>,
  sequence: number,
): Decision<'task_cancel'> {
  const { taskId, atMs } = command
  const task = knownTask(view, taskId)
  if (task.cancelledAtMs !== undefined) throw new TaskError('task_already_cancelled', { taskId })
  if (atMs < task.createdAtMs) {
    throw new TaskError('cancel_before_create', { taskId, createdAtMs: task.createdAtMs, cancelledAtMs: atMs })
  }
  return {
    event: fact(sequence, 'task_cancelled', { taskId, atMs }),
    applied: { type: 'task_cancel', taskId },
  }
}

/** Checks: list not empty; task known; each prerequisite known, in order; no cycle. */
export function dependencyDeclare(
  view: TaskView,
  { taskId, dependsOn, atMs }: CommandOf<'dependency_declare'>,
  sequence: number,
): Decision<'dependency_declare'> {
  if (dependsOn.length === 0) throw new TaskError('empty_dependency_list', { taskId })
  knownTask(view, taskId)
  for (const prerequisite of dependsOn) knownTask(view, prerequisite)
  const cycleThrough = findCycle(view, taskId, dependsOn)
  if (cycleThrough !== undefined) throw new TaskError('dependency_cycle', { taskId, cycleThrough })
  return {
    event: fact(sequence, 'dependency_declared', { taskId, dependsOn, atMs }),
    applied: { type: 'dependency_declare', taskId, dependsOn },
  }
}

/** The task; raises `unknown_task`. */
export function knownTask(view: TaskView, taskId: TaskId): Task {
  const task = view.task(taskId)
  if (task === undefined) throw new TaskError('unknown_task', { taskId })
  return task
}

/** A task that was cancelled takes no more, though its runs may still be under way. */
function takesChildren(task: Task): boolean {
  return task.cancelledAtMs === undefined && !hasEnded(task)
}

/** The first prerequisite that waits for the task itself, over however many others. */
function findCycle(view: TaskView, taskId: TaskId, dependsOn: readonly TaskId[]): TaskId | undefined {
  // A task that nobody waits for closes no cycle but with itself: a graph is built without searching it again and again.
  if (!view.hasDependents(taskId)) return dependsOn.find((prerequisite) => prerequisite === taskId)
  const reached = new Set<TaskId>()
  return dependsOn.find((prerequisite) => leadsTo(view, prerequisite, taskId, reached))
}

/** Whether following prerequisites from `start`, breadth first, reaches `goal`; what was `reached` before did not. */
function leadsTo(view: TaskView, start: TaskId, goal: TaskId, reached: Set<TaskId>): boolean {
  const next = new Set([start])
  for (const taskId of next) {
    if (taskId === goal) return true
    if (reached.has(taskId)) continue
    reached.add(taskId)
    for (const prerequisite of view.prerequisites(taskId)) next.add(prerequisite)
  }
  return false
}
