import type { Budget, BudgetDimension, Reservation } from '../budget.js'
import type { CommandOf } from '../commands.js'
import { TaskError } from '../errors.js'
import type { ReservationId, TaskId } from '../ids.js'
import type { TaskView } from '../view.js'
import { fact, type Decision } from './decision.js'
import { knownRun } from './runs.js'
import { knownTask } from './tasks.js'

/** Checks: task known; not allocated. */
export function budgetAllocate(
  view: TaskView,
  { taskId, dimension, limit, atMs }: CommandOf<'budget_allocate'>,
  sequence: number,
): Decision<'budget_allocate'> {
  knownTask(view, taskId)
  if (view.budget(taskId, dimension) !== undefined)
    throw new TaskError('budget_already_allocated', { taskId, dimension })
  return {
    event: fact(sequence, 'budget_allocated', { taskId, dimension, limit, atMs }),
    applied: { type: 'budget_allocate', taskId, dimension, limit },
  }
}

/** Checks: task known; a ledger bears it; every ledger can count it. What was spent is recorded even beyond the limit. */
export function budgetConsume(
  view: TaskView,
  { taskId, dimension, amount, atMs }: CommandOf<'budget_consume'>,
  sequence: number,
): Decision<'budget_consume'> {
  knownTask(view, taskId)
  checkCountable(ledgersOf(view, taskId, dimension), amount)
  return {
    event: fact(sequence, 'budget_consumed', { taskId, dimension, amount, atMs }),
    applied: { type: 'budget_consume', taskId, dimension, amount },
  }
}

/** Checks: task known; allocated; raised. */
export function budgetReplenish(
  view: TaskView,
  { taskId, dimension, newLimit, atMs }: CommandOf<'budget_replenish'>,
  sequence: number,
): Decision<'budget_replenish'> {
  knownTask(view, taskId)
  const ledger = view.budget(taskId, dimension)
  if (ledger === undefined) throw new TaskError('budget_not_allocated', { taskId, dimension })
  const { limit } = ledger
  if (newLimit <= limit) throw new TaskError('budget_not_raised', { taskId, dimension, limit, newLimit })
  return {
    event: fact(sequence, 'budget_replenished', { taskId, dimension, newLimit, atMs }),
    applied: { type: 'budget_replenish', taskId, dimension, newLimit },
  }
}

/** Checks: task known; run known; id not open; a ledger bears it; no ledger on the way up is exceeded. */
export function budgetReserve(
  view: TaskView,
  { reservationId, taskId, dimension, amount, runId, atMs }: CommandOf<'budget_reserve'>,
  sequence: number,
): Decision<'budget_reserve'> {
  knownTask(view, taskId)
  if (runId !== undefined) knownRun(view, runId)
  if (view.reservation(reservationId) !== undefined) {
    throw new TaskError('reservation_already_exists', { reservationId })
  }
  const ledgers = ledgersOf(view, taskId, dimension)
  for (const { taskId: bearer, limit, consumed, reserved } of ledgers) {
    if (consumed + reserved + amount > limit) {
      throw new TaskError('budget_exceeded', { taskId: bearer, dimension, limit, consumed, reserved, amount })
    }
  }
  return {
    event: fact(sequence, 'budget_reserved', {
      reservationId,
      taskId,
      dimension,
      amount,
      ...(runId !== undefined && { runId }),
      atMs,
    }),
    applied: { type: 'budget_reserve', reservationId, chargedTaskIds: ledgers.map((ledger) => ledger.taskId) },
  }
}

/** Checks: open; every ledger can count it. */
export function budgetSettle(
  view: TaskView,
  { reservationId, amount, atMs }: CommandOf<'budget_settle'>,
  sequence: number,
): Decision<'budget_settle'> {
  const { taskId, dimension } = openReservation(view, reservationId)
  checkCountable(view.ledgersFor(taskId, dimension), amount)
  return {
    event: fact(sequence, 'budget_settled', { reservationId, amount, atMs }),
    applied: { type: 'budget_settle', reservationId, amount },
  }
}

/** Checks: open. */
export function budgetRelease(
  view: TaskView,
  { reservationId, atMs }: CommandOf<'budget_release'>,
  sequence: number,
): Decision<'budget_release'> {
  openReservation(view, reservationId)
  return {
    event: fact(sequence, 'budget_released', { reservationId, atMs }),
    applied: { type: 'budget_release', reservationId },
  }
}

function ledgersOf(view: TaskView, taskId: TaskId, dimension: BudgetDimension): readonly Budget[] {
  const ledgers = view.ledgersFor(taskId, dimension)
  if (ledgers.length === 0) throw new TaskError('budget_not_allocated', { taskId, dimension })
  return ledgers
}

/** Raises `budget_overflow` when a ledger cannot count this much more. */
export function checkCountable(ledgers: readonly Budget[], amount: number): void {
  const full = ledgers.find(({ consumed }) => amount > Number.MAX_SAFE_INTEGER - consumed)
  if (full !== undefined) throw new TaskError('budget_overflow', { taskId: full.taskId, dimension: full.dimension })
}

function openReservation(view: TaskView, reservationId: ReservationId): Reservation {
  const reservation = view.reservation(reservationId)
  if (reservation === undefined) throw new TaskError('unknown_reservation', { reservationId })
  return reservation
}
