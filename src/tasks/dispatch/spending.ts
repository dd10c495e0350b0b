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
  /** Reservations it may have open. */
  readonly reservationIds: Iterable<ReservationId>
  /** Those of them that were made when it started. */
  readonly reservedAtStart: ReadonlyMap<BudgetDimension, ReservationId>
  /** What its handler settled; still open only where the journal did not take it. */
  readonly settled: ReadonlyMap<ReservationId, number>
  /** The last amount that it could not set aside. */
  readonly refused: RefusedAmount | undefined
  /** What its handler said it used. */
  readonly reported: ReadonlyMap<BudgetDimension, number>
}

/** An amount that a budget refused. */
export interface RefusedAmount {
  readonly dimension: BudgetDimension
  /** What its attempt held already included: the next attempt needs both. */
  readonly amount: number
}

/** Open reservations that are closed together with the end of an attempt; more than these are closed before it, in groups. */
export const reservationsAtOnce = 256

/** What becomes of a reservation that nobody has settled. */
export type Unsettled = 'spent' | 'given_back'

/** The spending of an attempt of which only its open reservations are known. */
export function unreported(reservationIds: Iterable<ReservationId>): AttemptSpending {
  return { reservationIds, reservedAtStart: new Map(), settled: new Map(), refused: undefined, reported: new Map() }
}

/** How what an attempt has spent is recorded. */
export interface SpendingRecord {
  /** What becomes of its reservations; one that is settled with nothing is given back. */
  readonly settlements: NonNullable<AttemptEnd['settlements']>
  /** What it spent without having set it aside. */
  readonly consumptions: NonNullable<AttemptEnd['consumptions']>
  /** Dimensions that bear something of it. */
  readonly touched: readonly BudgetDimension[]
  /** The budgets when all of this is recorded. */
  readonly budgets: BudgetReader
}

const nothingSpent: Omit<SpendingRecord, 'budgets'> = { settlements: [], consumptions: [], touched: [] }

/** Where budgets are read. */
export type BudgetReader = Pick<TaskView, 'task' | 'budget' | 'budgetsFor'>

/**
 * Says how to close what an attempt left open and to record what it reported. Changes nothing. Of a run that goes on, what
 * was set aside for steps whose end is not known stays so: whoever does such a step again takes it over.
 */
export function recordOf(
  view: TaskView,
  taskId: TaskId,
  spending: AttemptSpending,
  unsettled: Unsettled,
  goesOn = false,
): SpendingRecord {
  const reservationIds = [...spending.reservationIds]
  // As nearly all do.
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

/** Closes what an attempt left open and records what it reported. Returns the dimensions that bore something. */
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

/** The budgets as they will stand: what is to be recorded laid over what a view shows. */
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

/** As much of an amount as every budget can count: one that is full to the last number keeps no attempt from ending. */
function countable(view: BudgetReader, taskId: TaskId, dimension: BudgetDimension, amount: number): number {
  const room = view.budgetsFor(taskId, dimension).map(({ consumed }) => Number.MAX_SAFE_INTEGER - consumed)
  return Math.min(amount, ...room)
}

/**
 * Whether a task that gave way to its budget could go on: what it was refused is not spent, or nothing is exhausted any more.
 * What others have reserved does not count, they will give it back. Otherwise a replenishment that came between the refusal and the suspension would be waited for in vain.
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

/** Why an amount cannot be set aside, and on which budget. */
export interface Shortage {
  /** `spent`: only a replenishment helps. `reserved`: it would fit if others gave back what they have set aside. */
  readonly cause: 'spent' | 'reserved'
  readonly budget: Budget
}

/** What keeps a task from setting an amount aside; what is spent counts before what is reserved. */
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

/** True when a budget cannot bear an amount besides what is spent and reserved. */
export function isCrowded({ limit, consumed, reserved }: Budget, amount: number): boolean {
  return consumed + reserved + amount > limit
}
