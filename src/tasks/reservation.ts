import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import {
  bearing,
  budgetKey,
  charge,
  checkAmount,
  checkCountable,
  consume,
  dimensionSchema,
  ofBudget,
  type Budget,
  type BudgetReads,
  type BudgetRows,
} from './budget.js'
import { TaskError } from './errors.js'
import type { BudgetDimension, ReservationId, RunId, TaskId } from './ids.js'
import { knownRun } from './run-commands.js'
import { idSchema, labelSchema, naturalSchema, ofReservation, optionalRunId, taskIdsSchema } from './scalars.js'
import { checkNewRow, knownTask, storedTask } from './task.js'

/** An amount set aside before it is spent. */
export interface Reservation {
  readonly reservationId: ReservationId
  /** Who spends. */
  readonly taskId: TaskId
  readonly runId?: RunId
  /** The step of the run that it is set aside for: whoever does the step takes it over. */
  readonly step?: string
  readonly dimension: BudgetDimension
  readonly amount: number
  /** The task and its ancestors whose budgets bear the reservation. */
  readonly chargedTaskIds: readonly TaskId[]
  readonly reservedAtMs: number
}

/** Tables of this file. */
export interface ReservationRows extends BudgetRows {
  /** The open ones. */
  readonly reservations: Table<ReservationId, Reservation>
}

/** Reads of this file. */
export interface ReservationReads extends BudgetReads {
  /** An open reservation. */
  reservation(reservationId: ReservationId): Reservation | undefined
}

/** A change of reservations in the making. */
export type ReservationDraft = Draft<ReservationRows, ReservationReads>

const reservationEntries = {
  ...ofReservation,
  ...ofBudget,
  amount: naturalSchema,
  runId: optionalRunId,
  /** The step of the run that it is set aside for. */
  step: v.exactOptional(labelSchema),
}

/** What replaces a reservation: what was really spent. */
export const settlementSchema = strictSchema({ reservationId: idSchema<ReservationId>(), amount: naturalSchema })

const defineEvent = eventDefiner<ReservationRows, ReservationReads>()
const defineCommand = commandDefiner<ReservationReads>()
const defineRow = rowDefiner<ReservationRows, ReservationReads>()

/** Sets the amount aside on every budget the task spends from. */
export const budgetReserved = defineEvent('budget_reserved', {
  fields: reservationEntries,
  evolve: (draft, event) => reserve(draft, event),
})

/** Turns a reservation into consumption of what was really spent. */
export const budgetSettled = defineEvent('budget_settled', {
  fields: { ...ofReservation, amount: naturalSchema },
  evolve: (draft, { reservationId, amount }) => settle(draft, reservationId, amount),
})

/** Gives a reservation back. */
export const budgetReleased = defineEvent('budget_released', {
  fields: ofReservation,
  evolve: (draft, { reservationId }) => void closeReservation(draft, reservationId),
})

/**
 * Sets an amount aside on the budgets of the task and its ancestors before it is spent.
 * Checks: task known; run known; id not open; a budget bears it; no budget on the way up is exceeded.
 */
export const budgetReserve = defineCommand('budget_reserve', {
  fields: reservationEntries,
  check: ({ dimension, amount }) => checkAmount(dimension, amount),
  decide: (view, { reservationId, taskId, dimension, amount, runId, step, atMs }, sequence) => {
    knownTask(view, taskId)
    if (runId !== undefined) knownRun(view, runId)
    const chargedTaskIds = new Spending(view).reserve({ reservationId, taskId, dimension, amount })
    return {
      event: budgetReserved.create(sequence, {
        reservationId,
        taskId,
        dimension,
        amount,
        ...(runId !== undefined && { runId }),
        ...(step !== undefined && { step }),
        atMs,
      }),
      applied: { type: 'budget_reserve', reservationId, chargedTaskIds } as const,
    }
  },
})

/**
 * Replaces a reservation by what was really spent; the truth is recorded even if it is more.
 * Checks: open; every budget can count it.
 */
export const budgetSettle = defineCommand('budget_settle', {
  fields: { ...ofReservation, amount: naturalSchema },
  decide: (view, { reservationId, amount, atMs }, sequence) => {
    new Spending(view).settle(reservationId, amount)
    return {
      event: budgetSettled.create(sequence, { reservationId, amount, atMs }),
      applied: { type: 'budget_settle', reservationId, amount } as const,
    }
  },
})

/** Gives a reservation back unspent. Checks: open. */
export const budgetRelease = defineCommand('budget_release', {
  fields: ofReservation,
  decide: (view, { reservationId, atMs }, sequence) => {
    openReservation(view, reservationId)
    return {
      event: budgetReleased.create(sequence, { reservationId, atMs }),
      applied: { type: 'budget_release', reservationId } as const,
    }
  },
})

/** An open reservation. */
export const reservationRow = defineRow('reservation', {
  fields: {
    reservationId: idSchema<ReservationId>(),
    taskId: idSchema<TaskId>(),
    runId: optionalRunId,
    step: v.exactOptional(labelSchema),
    dimension: dimensionSchema,
    amount: naturalSchema,
    chargedTaskIds: taskIdsSchema,
    reservedAtMs: naturalSchema,
  },
  capture: ({ reservations }) => reservations.rows(),
  restore: (draft, reservation) => {
    const { reservationId, taskId, chargedTaskIds } = reservation
    for (const id of [taskId, ...chargedTaskIds]) storedTask(draft, id, 'reservation')
    checkNewRow(draft.view.reservation(reservationId), 'reservation', reservationId)
    draft.put(draft.tables.reservations, reservationId, reservation)
  },
})

/** What is set aside of one dimension. */
export type Reserved = Pick<Reservation, 'reservationId' | 'taskId' | 'dimension' | 'amount'>

/** Judges amounts one after another, each as if those before it had been taken. Changes nothing. */
class Spending {
  readonly #view: ReservationReads
  /** Reservations opened and closed by what was judged before. */
  readonly #opened = new Set<ReservationId>()
  readonly #closed = new Set<ReservationId>()
  /** By budget, what it bears more than the view shows. */
  readonly #reserved = new Map<string, number>()
  readonly #consumed = new Map<string, number>()

  constructor(view: ReservationReads) {
    this.#view = view
  }

  /** Raises what keeps an amount from being set aside; returns the tasks whose budgets bear it. */
  reserve({ reservationId, taskId, dimension, amount }: Reserved): readonly TaskId[] {
    if (this.#opened.has(reservationId) || this.#view.reservation(reservationId) !== undefined) {
      throw new TaskError('reservation_already_exists', { reservationId })
    }
    const budgets = bearing(this.#view, taskId, dimension)
    for (const { taskId: bearer, limit, consumed, reserved: before } of budgets) {
      const reserved = before + (this.#reserved.get(budgetKey(bearer, dimension)) ?? 0)
      if (consumed + reserved + amount > limit) {
        throw new TaskError('budget_exceeded', { taskId: bearer, dimension, limit, consumed, reserved, amount })
      }
    }
    this.#opened.add(reservationId)
    for (const budget of budgets) add(this.#reserved, budgetKey(budget.taskId, dimension), amount)
    return budgets.map((budget) => budget.taskId)
  }

  /** Raises what keeps a reservation from being replaced by what was spent. */
  settle(reservationId: ReservationId, amount: number): void {
    if (this.#closed.has(reservationId)) throw new TaskError('unknown_reservation', { reservationId })
    const { taskId, dimension } = openReservation(this.#view, reservationId)
    this.#count(this.#view.budgetsFor(taskId, dimension), amount)
    this.#closed.add(reservationId)
  }

  /** Raises what keeps an amount from being recorded as spent. */
  consume(taskId: TaskId, dimension: BudgetDimension, amount: number): void {
    this.#count(bearing(this.#view, taskId, dimension), amount)
  }

  #count(budgets: readonly Budget[], amount: number): void {
    const key = (budget: Budget): string => budgetKey(budget.taskId, budget.dimension)
    checkCountable(
      budgets.map((budget) => ({ ...budget, consumed: budget.consumed + (this.#consumed.get(key(budget)) ?? 0) })),
      amount,
    )
    for (const budget of budgets) add(this.#consumed, key(budget), amount)
  }
}

/** Raises what keeps amounts from being set aside for a task, one after another. */
export function checkReserved(
  view: ReservationReads,
  taskId: TaskId,
  reservations: readonly Omit<Reserved, 'taskId'>[],
): void {
  if (reservations.length === 0) return
  const spending = new Spending(view)
  for (const reservation of reservations) spending.reserve({ ...reservation, taskId })
}

/** Raises what keeps reservations of a task from being replaced by what was spent, and then amounts from being recorded as spent. */
export function checkSpent(
  view: ReservationReads,
  taskId: TaskId,
  settlements: readonly { readonly reservationId: ReservationId; readonly amount: number }[],
  consumptions: readonly { readonly dimension: BudgetDimension; readonly amount: number }[],
): void {
  if (settlements.length + consumptions.length === 0) return
  const spending = new Spending(view)
  for (const { reservationId, amount } of settlements) spending.settle(reservationId, amount)
  for (const { dimension, amount } of consumptions) spending.consume(taskId, dimension, amount)
}

/** Sets an amount aside on every budget the task spends from. */
export function reserve(
  draft: ReservationDraft,
  {
    reservationId,
    taskId,
    dimension,
    amount,
    runId,
    step,
    atMs,
  }: Reserved & { readonly runId?: RunId; readonly step?: string; readonly atMs: number },
): void {
  const budgets = draft.view.budgetsFor(taskId, dimension)
  for (const budget of budgets) charge(draft, budget, { reserved: amount })
  draft.put(draft.tables.reservations, reservationId, {
    reservationId,
    taskId,
    ...(runId !== undefined && { runId }),
    ...(step !== undefined && { step }),
    dimension,
    amount,
    chargedTaskIds: budgets.map((budget) => budget.taskId),
    reservedAtMs: atMs,
  })
}

/** Replaces a reservation by what was spent; without one, nothing changes. */
export function settle(draft: ReservationDraft, reservationId: ReservationId, amount: number): void {
  const closed = closeReservation(draft, reservationId)
  if (closed !== undefined) consume(draft, closed.taskId, closed.dimension, amount)
}

function closeReservation(draft: ReservationDraft, reservationId: ReservationId): Reservation | undefined {
  const reservation = draft.view.reservation(reservationId)
  if (reservation === undefined) return undefined
  const { dimension, amount, chargedTaskIds } = reservation
  for (const taskId of chargedTaskIds) {
    const budget = draft.view.budget(taskId, dimension)
    if (budget !== undefined) charge(draft, budget, { reserved: -amount })
  }
  draft.put(draft.tables.reservations, reservationId, undefined)
  return reservation
}

function openReservation(view: ReservationReads, reservationId: ReservationId): Reservation {
  const reservation = view.reservation(reservationId)
  if (reservation === undefined) throw new TaskError('unknown_reservation', { reservationId })
  return reservation
}

function add(amounts: Map<string, number>, key: string, amount: number): void {
  amounts.set(key, (amounts.get(key) ?? 0) + amount)
}
