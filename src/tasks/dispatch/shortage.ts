import type { Budget, BudgetDimension } from '../budget.js'
import type { TaskId } from '../ids.js'
import type { TaskView } from '../view.js'

/** Why an amount cannot be set aside, and on which ledger. */
export interface Shortage {
  /** `spent`: only a replenishment helps. `reserved`: it would fit if others gave back what they have set aside. */
  readonly cause: 'spent' | 'reserved'
  readonly ledger: Budget
}

/** What keeps a task from setting an amount aside; what is spent counts before what is reserved. */
export function shortageOf(
  view: Pick<TaskView, 'ledgersFor'>,
  taskId: TaskId,
  dimension: BudgetDimension,
  amount: number,
): Shortage | undefined {
  const ledgers = view.ledgersFor(taskId, dimension)
  const spent = ledgers.find(({ limit, consumed }) => consumed + amount > limit)
  if (spent !== undefined) return { cause: 'spent', ledger: spent }
  const reserved = ledgers.find((ledger) => isCrowded(ledger, amount))
  return reserved && { cause: 'reserved', ledger: reserved }
}

/** True when a ledger cannot bear an amount besides what is spent and reserved. */
export function isCrowded({ limit, consumed, reserved }: Budget, amount: number): boolean {
  return consumed + reserved + amount > limit
}
