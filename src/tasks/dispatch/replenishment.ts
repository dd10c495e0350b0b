import type { TaskBatch } from '../authority.js'
import type { BudgetDimension } from '../budget.js'
import type { RunId, TaskId } from '../ids.js'
import type { TaskProjection, TaskView } from '../view.js'
import { lineage, resumeRuns, suspendReasonOf } from './runs.js'

/** How many suspended runs are looked at, and resumed, in one batch with a replenishment. */
const resumedAtOnce = 256
const lookedAtOnce = 4096

/** A new limit of a budget, and its time. */
export interface Replenishment {
  readonly taskId: TaskId
  readonly dimension: BudgetDimension
  readonly newLimit: number
  readonly atMs: number
}

/**
 * Raises a limit, and resumes the first of the runs that the budget had suspended; the others follow. Raises the
 * refusals of `budget_replenish`.
 */
export function replenishInto(batch: TaskBatch, projection: TaskProjection, replenishment: Replenishment): void {
  const { taskId, atMs } = replenishment
  batch.submit({ type: 'budget_replenish', ...replenishment })
  resumeRuns(batch, suspendedForBudget(batch.view, projection, taskId), atMs)
}

/** The first suspended runs, including those whose suspension is in flight. */
function suspendedForBudget(view: TaskView, projection: TaskProjection, taskId: TaskId): readonly RunId[] {
  const found: RunId[] = []
  let looked = 0
  for (const state of ['running', 'suspended'] as const) {
    for (const { id } of projection.runsIn(state)) {
      if (found.length === resumedAtOnce || ++looked > lookedAtOnce) return found
      const run = view.run(id)
      if (run?.state !== 'suspended' || suspendReasonOf(run) !== 'budget_exhausted') continue
      for (const { spec } of lineage(view, run.taskId)) if (spec.id === taskId) found.push(run.id)
    }
  }
  return found
}
