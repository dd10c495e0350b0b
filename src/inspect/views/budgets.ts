import type { Budget } from '../../tasks/index.js'
import type { BudgetRow, BudgetsView } from '../stream/protocol.js'
import { mostUsedFirst } from './budget-order.js'
import { nameOf, taskRef } from './item-rows.js'
import { pageOfMade, type Window } from './pages.js'
import type { InspectedState } from './state.js'

/** Budgets, the most used first. O(budgets). */
export function budgetsView({ tasks }: InspectedState, window: Window): BudgetsView {
  const budgets = [...tasks.budgets()].sort(mostUsedFirst)
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
