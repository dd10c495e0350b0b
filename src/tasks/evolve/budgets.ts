import type { Budget } from '../budget.js'
import type { EventOf } from '../events.js'
import type { Draft } from '../projection/draft.js'
import { budgetKey } from '../projection/tables.js'

/** Opens a ledger. */
export function budgetAllocated(draft: Draft, event: EventOf<'budget_allocated'>): void {
  const { taskId, dimension, limit, atMs } = event
  putBudget(draft, { taskId, dimension, limit, consumed: 0, reserved: 0, allocatedAtMs: atMs, exhausted: false })
}

/** Charges every ledger the task spends from. */
export function budgetConsumed(draft: Draft, { taskId, dimension, amount }: EventOf<'budget_consumed'>): void {
  for (const ledger of draft.view.ledgersFor(taskId, dimension)) charge(draft, ledger, { consumed: amount })
}

/** Accepted though no command writes it. */
export function budgetExhausted(draft: Draft, { taskId, dimension }: EventOf<'budget_exhausted'>): void {
  const ledger = draft.view.budget(taskId, dimension)
  if (ledger !== undefined) putBudget(draft, { ...ledger, exhausted: true })
}

/** Raises the limit; what was consumed stays consumed. */
export function budgetReplenished(draft: Draft, event: EventOf<'budget_replenished'>): void {
  const { taskId, dimension, newLimit, atMs } = event
  const ledger = draft.view.budget(taskId, dimension)
  if (ledger === undefined) return
  putBudget(draft, {
    ...ledger,
    limit: newLimit,
    exhausted: ledger.consumed >= newLimit,
    replenishedAtMs: atMs,
  })
}

/** Sets the amount aside on every ledger the task spends from. */
export function budgetReserved(draft: Draft, event: EventOf<'budget_reserved'>): void {
  const { reservationId, taskId, dimension, amount, runId, atMs } = event
  const ledgers = draft.view.ledgersFor(taskId, dimension)
  for (const ledger of ledgers) charge(draft, ledger, { reserved: amount })
  draft.put(draft.tables.reservations, reservationId, {
    reservationId,
    taskId,
    ...(runId !== undefined && { runId }),
    dimension,
    amount,
    chargedTaskIds: ledgers.map((ledger) => ledger.taskId),
    reservedAtMs: atMs,
  })
}

/** Turns a reservation into consumption of what was really spent. */
export function budgetSettled(draft: Draft, event: EventOf<'budget_settled'>): void {
  const reservation = draft.view.reservation(event.reservationId)
  if (reservation === undefined) return
  const { taskId, dimension } = reservation
  closeReservation(draft, event)
  for (const ledger of draft.view.ledgersFor(taskId, dimension)) charge(draft, ledger, { consumed: event.amount })
}

/** Gives a reservation back. */
export function budgetReleased(draft: Draft, event: EventOf<'budget_released'>): void {
  closeReservation(draft, event)
}

function closeReservation(draft: Draft, { reservationId }: Pick<EventOf<'budget_released'>, 'reservationId'>): void {
  const reservation = draft.view.reservation(reservationId)
  if (reservation === undefined) return
  const { dimension, amount, chargedTaskIds } = reservation
  for (const taskId of chargedTaskIds) {
    const ledger = draft.view.budget(taskId, dimension)
    if (ledger !== undefined) charge(draft, ledger, { reserved: -amount })
  }
  draft.put(draft.tables.reservations, reservationId, undefined)
}

function charge(
  draft: Draft,
  ledger: Budget,
  change: { readonly consumed?: number; readonly reserved?: number },
): void {
  const consumed = ledger.consumed + (change.consumed ?? 0)
  const reserved = ledger.reserved + (change.reserved ?? 0)
  putBudget(draft, { ...ledger, consumed, reserved, exhausted: ledger.exhausted || consumed >= ledger.limit })
}

function putBudget(draft: Draft, budget: Budget): void {
  draft.put(draft.tables.budgets, budgetKey(budget.taskId, budget.dimension), budget)
}
