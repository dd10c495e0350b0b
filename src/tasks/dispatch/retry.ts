import type { IdSource } from '../../base/ids.js'
import type { TaskBatch } from '../authority.js'
import type { BudgetDimension, TaskId } from '../ids.js'
import { knownTask } from '../task.js'
import { createAgain, type Submitted } from './submission.js'
import type { TraceOfSubmission } from './task-spans.js'

/**
 * Submits a failed task again, under a new id that names the old one, with the same kind, payload, policy, constraints,
 * metadata, parent, tenant, prerequisites and budget limits; it takes over the key. If the task was already retried,
 * returns that retry. Raises `unknown_task`, `retry_requires_failed`, and `orphan_prevention` when its parent has
 * ended.
 */
export function retryInto(
  batch: TaskBatch,
  taskId: TaskId,
  dimensions: Iterable<BudgetDimension>,
  atMs: number,
  ids: IdSource,
  trace: TraceOfSubmission = {},
): Submitted {
  const { view } = batch
  const { spec } = knownTask(view, taskId)
  const retried = view.retryOf(taskId)
  if (retried !== undefined) return { taskId: retried, isNew: false }
  const ofAnyEnd = view.prerequisitesOfAnyEnd(taskId)
  // Forgotten prerequisites have ended.
  const kept = view.prerequisites(taskId).filter((prerequisite) => view.task(prerequisite) !== undefined)
  const after = kept.filter((prerequisite) => ofAnyEnd.includes(prerequisite))
  const dependsOn = kept.filter((prerequisite) => !ofAnyEnd.includes(prerequisite))
  const budgets: Record<string, number> = {}
  for (const dimension of dimensions) {
    const budget = view.budget(taskId, dimension)
    if (budget !== undefined) budgets[dimension] = budget.limit
  }
  return { taskId: createAgain(batch, spec, { dependsOn, after, budgets, ...trace }, atMs, ids), isNew: true }
}
