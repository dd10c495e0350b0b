import type { TaskId } from '../ids.js'
import { phaseOf } from '../task.js'
import type { TaskProjection, TaskView } from '../view.js'
import { isCancelled } from './lineage.js'
import { canSpendAgain } from './spending.js'

/**
 * Whether what was decided before a start still lets it be. Selection looked at what is durable; a prerequisite may have
 * been declared, a budget spent, a task cancelled or the engine paused since, and stand before the start in the log.
 * `view` shows what is under way.
 */
export function mayStart(view: TaskView, projection: Pick<TaskProjection, 'budgetsOf'>, taskId: TaskId): boolean {
  if (view.engine.paused || isCancelled(view, taskId)) return false
  const isGateOpen = view.prerequisites(taskId).every((prerequisite) => hasCompleted(view, prerequisite))
  return isGateOpen && canSpendAgain(view, projection, taskId, undefined)
}

/** As dependents see it: every run has ended, and one of them well (spec mutation authority 7.9). */
function hasCompleted(view: TaskView, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task !== undefined && phaseOf(task) === 'completed'
}
