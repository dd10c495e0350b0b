import type { AttemptEnd } from '../attempt-steps.js'
import { budgetKey, charged, type Budget, type BudgetDimension, type BudgetChange } from '../budget.js'
import type { Reservation } from '../reservation.js'
import type { ReservationId, TaskId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import type { Task } from '../task.js'
import type { TaskProjection, TaskView } from '../view.js'
import { lineage } from './runs.js'

/** What an attempt may have spent. */
export interface AttemptSpending {
  /** Reservations that may be open. */
  readonly reservationIds: Iterable<ReservationId>
  /** Those of them that were made when it started. */
  readonly reservedAtStart: ReadonlyMap<BudgetDimension, ReservationId>
  /** What its handler settled; these are still open only if the journal did not accept it. */
  readonly settled: ReadonlyMap<ReservationId, number>
  /** The last amount that it could not reserve. */
  readonly refused: RefusedAmount | undefined
  /** What its handler reported. */
  readonly reported: ReadonlyMap<BudgetDimension, number>
}

/** An amount that a budget refused. */
export interface RefusedAmount {
  readonly dimension: BudgetDimension
  /** Includes what its attempt already held: the next attempt needs both. */
  readonly amount: number
}

/**
 * How many open reservations are closed together with the end of an attempt; the rest is closed before it, in groups.
 */
export const reservationsAtOnce = 256

/** What happens to an unsettled reservation. */
export type Unsettled = 'spent' | 'given_back'

/** The spending of an attempt of which only the open reservations are known. */
export function unreported(reservationIds: Iterable<ReservationId>): AttemptSpending {
  return { reservationIds, reservedAtStart: new Map(), settled: new Map(), refused: undefined, reported: new Map() }
}

/** How the spending of an attempt is recorded. */
export interface SpendingRecord {
  /** How its reservations are settled; an amount of zero gives one back. */
  readonly settlements: NonNullable<AttemptEnd['settlements']>
  /** What it spent without a reservation. */
  readonly consumptions: NonNullable<AttemptEnd['consumptions']>
  /** Dimensions with a change. */
  readonly touched: readonly BudgetDimension[]
  /** The budgets after all of this is recorded. */
  readonly budgets: BudgetReader
}

const nothingSpent: Omit<SpendingRecord, 'budgets'> = { settlements: [], consumptions: [], touched: [] }

/** Reads budgets. */
export type BudgetReader = Pick<TaskView, 'task' | 'budget' | 'budgetsFor'>

/**
 * Decides how to close an attempt's open reservations and record what it reported; changes nothing. If the run goes on,
 * reservations for steps without a known result stay open: the attempt that does such a step again takes them over.
 */
export function recordOf(
  view: TaskView,
  taskId: TaskId,
  spending: AttemptSpending,
  unsettled: Unsettled,
  goesOn = false,
): SpendingRecord {
  const reservationIds = [...spending.reservationIds]
  // The usual case.
  if (reservationIds.length === 0 && spending.reported.size === 0) return { ...nothingSpent, budgets: view }
  const budgets = new BudgetsAfter(view)
  const touched = new Set<BudgetDimension>()
  const settlements = new Map<ReservationId, number>()
  const consumptions: { dimension: BudgetDimension; amount: number }[] = []
  const unreserved = new Map(spending.reported)
  for (const reservationId of reservationIds) {
    const reservation = view.reservation(reservationId)
    if (reservation === undefined || settlements.has(reservationId)) continue
    const isSettled = spending.settled.has(reservationId)
    if (goesOn && unsettled === 'spent' && reservation.step !== undefined && !isSettled) continue
    const { dimension, amount: reserved } = reservation
    const isOfStart = spending.reservedAtStart.get(dimension) === reservationId
    const reported = isOfStart ? unreserved.get(dimension) : undefined
    if (reported !== undefined) unreserved.delete(dimension)
    const spent = spending.settled.get(reservationId) ?? reported ?? (unsettled === 'spent' ? reserved : 0)
    const amount = countable(budgets, reservation.taskId, dimension, spent)
    settlements.set(reservationId, amount)
    budgets.settle(reservation, amount)
    touched.add(dimension)
  }
  for (const [dimension, reported] of unreserved) {
    if (budgets.budgetsFor(taskId, dimension).length === 0) continue
    const amount = countable(budgets, taskId, dimension, reported)
    if (amount === 0) continue
    consumptions.push({ dimension, amount })
    budgets.consume(taskId, dimension, amount)
    touched.add(dimension)
  }
  return {
    settlements: Array.from(settlements, ([reservationId, amount]) => ({ reservationId, amount })),
    consumptions,
    touched: [...touched],
    budgets,
  }
}

/** Closes an attempt's open reservations and records what it reported. Returns the changed dimensions. */
export function closeSpending(
  batch: TaskBatch,
  taskId: TaskId,
  spending: AttemptSpending,
  unsettled: Unsettled,
  atMs: number,
  goesOn = false,
): readonly BudgetDimension[] {
  const { settlements, consumptions, touched } = recordOf(batch.view, taskId, spending, unsettled, goesOn)
  for (const { reservationId, amount } of settlements) {
    if (amount > 0) batch.submit({ type: 'budget_settle', reservationId, amount, atMs })
    else batch.submit({ type: 'budget_release', reservationId, atMs })
  }
  for (const { dimension, amount } of consumptions) {
    batch.submit({ type: 'budget_consume', taskId, dimension, amount, atMs })
  }
  return touched
}

/** The budgets as they will be: pending changes on top of a view. */
class BudgetsAfter implements BudgetReader {
  readonly #view: TaskView
  readonly #changed = new Map<string, Budget>()

  constructor(view: TaskView) {
    this.#view = view
  }

  task(taskId: TaskId): Task | undefined {
    return this.#view.task(taskId)
  }

  budget(taskId: TaskId, dimension: BudgetDimension): Budget | undefined {
    return this.#changed.get(budgetKey(taskId, dimension)) ?? this.#view.budget(taskId, dimension)
  }

  budgetsFor(taskId: TaskId, dimension: BudgetDimension): readonly Budget[] {
    const budgets = this.#view.budgetsFor(taskId, dimension)
    if (this.#changed.size === 0) return budgets
    return budgets.map((budget) => this.#changed.get(budgetKey(budget.taskId, dimension)) ?? budget)
  }

  settle({ taskId, dimension, amount: reserved, chargedTaskIds }: Reservation, spent: number): void {
    for (const bearer of chargedTaskIds) this.#charge(this.budget(bearer, dimension), { reserved: -reserved })
    this.consume(taskId, dimension, spent)
  }

  consume(taskId: TaskId, dimension: BudgetDimension, amount: number): void {
    for (const budget of this.budgetsFor(taskId, dimension)) this.#charge(budget, { consumed: amount })
  }

  #charge(budget: Budget | undefined, change: BudgetChange): void {
    if (budget === undefined) return
    this.#changed.set(budgetKey(budget.taskId, budget.dimension), charged(budget, change))
  }
}

/**
 * The part of an amount that every budget can still count: a counter that is full must not prevent an attempt from
 * ending.
 */
function countable(view: BudgetReader, taskId: TaskId, dimension: BudgetDimension, amount: number): number {
  const room = view.budgetsFor(taskId, dimension).map(({ consumed }) => Number.MAX_SAFE_INTEGER - consumed)
  return Math.min(amount, ...room)
}

/**
 * True if a task that was suspended for its budget could go on: the refused amount is no longer spent, or nothing is
 * exhausted any more. Reservations of others do not count, since they will be given back. Without this check, a
 * replenishment between the refusal and the suspension would be missed.
 */
export function canSpendAgain(
  view: BudgetReader,
  projection: Pick<TaskProjection, 'budgetsOf'>,
  taskId: TaskId,
  refused: RefusedAmount | undefined,
): boolean {
  if (refused !== undefined) {
    if (shortageOf(view, taskId, refused.dimension, refused.amount)?.cause === 'spent') return false
  }
  for (const { spec } of lineage(view, taskId)) {
    for (const { dimension } of projection.budgetsOf(spec.id)) {
      if (view.budget(spec.id, dimension)?.exhausted === true) return false
    }
  }
  return true
}

/** Why an amount cannot be reserved, and on which budget. */
export interface Shortage {
  /** `spent`: only a replenishment helps. `reserved`: it would fit if others gave back their reservations. */
  readonly cause: 'spent' | 'reserved'
  readonly budget: Budget
}

/** What prevents a task from reserving an amount; `spent` takes precedence over `reserved`. */
export function shortageOf(
  view: Pick<TaskView, 'budgetsFor'>,
  taskId: TaskId,
  dimension: BudgetDimension,
  amount: number,
): Shortage | undefined {
  const budgets = view.budgetsFor(taskId, dimension)
  const spent = budgets.find(({ limit, consumed }) => consumed + amount > limit)
  if (spent !== undefined) return { cause: 'spent', budget: spent }
  const reserved = budgets.find((budget) => isCrowded(budget, amount))
  return reserved && { cause: 'reserved', budget: reserved }
}

/** True when a budget cannot cover an amount on top of what is spent and reserved. */
export function isCrowded({ limit, consumed, reserved }: Budget, amount: number): boolean {
  return consumed + reserved + amount > limit
}
