import type { TaskId } from '../ids.js'
import type { Task, TaskView } from '../view.js'

/** A task and its ancestors, nearest first. */
export function* lineage(view: Pick<TaskView, 'task'>, taskId: TaskId): Iterable<Task> {
  for (let task = view.task(taskId); task !== undefined; ) {
    yield task
    const { parentTaskId } = task.spec
    task = parentTaskId === undefined ? undefined : view.task(parentTaskId)
  }
}

/** True when the task or an ancestor is cancelled: its runs must not start, even before cancellation has come down to them. */
export function isCancelled(view: Pick<TaskView, 'task'>, taskId: TaskId): boolean {
  for (const { cancelledAtMs } of lineage(view, taskId)) if (cancelledAtMs !== undefined) return true
  return false
}
