import type { Budget } from '../../tasks/index.js'
import type { BudgetRow, BudgetsView } from '../stream/protocol.js'
import { nameOf, taskRef } from './item-rows.js'
import { pageOfMade, type Window } from './pages.js'
import type { InspectedState } from './state.js'

/** Budgets, the most used first. O(tasks). */
export function budgetsView({ tasks }: InspectedState, window: Window): BudgetsView {
  const budgets: Budget[] = []
  for (const { spec } of tasks.tasks()) budgets.push(...tasks.budgetsOf(spec.id))
  budgets.sort((one, other) => usedOf(other) - usedOf(one))
  const rowOf = ({ taskId, dimension, limit, consumed, reserved, exhausted }: Budget): BudgetRow => {
    const spec = tasks.task(taskId)?.spec
    return {
      task: taskRef(taskId),
      name: spec === undefined ? taskId : nameOf(spec),
      dimension,
      limit,
      consumed,
      reserved,
      isExhausted: exhausted,
    }
  }
  return { view: 'budgets', ...pageOfMade(budgets, rowOf, window) }
}

function usedOf({ limit, consumed, reserved }: Budget): number {
  return limit === 0 ? 1 : (consumed + reserved) / limit
}
