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
  /** The task that spends. */
  readonly taskId: TaskId
  readonly runId?: RunId
  /** The step of the run that it is reserved for; a later attempt that does the step takes it over. */
  readonly step?: string
  readonly dimension: BudgetDimension
  readonly amount: number
  /** The task and those of its ancestors whose budgets are charged. */
  readonly chargedTaskIds: readonly TaskId[]
  readonly reservedAtMs: number
}

/** The tables defined in this file. */
export interface ReservationRows extends BudgetRows {
  /** The open reservations. */
  readonly reservations: Table<ReservationId, Reservation>
}

/** The reads defined in this file. */
export interface ReservationReads extends BudgetReads {
  /** An open reservation. */
  reservation(reservationId: ReservationId): Reservation | undefined
}

/** A draft of changes to reservations. */
export type ReservationDraft = Draft<ReservationRows, ReservationReads>

const reservationEntries = {
  ...ofReservation,
  ...ofBudget,
  amount: naturalSchema,
  runId: optionalRunId,
  /** The step of the run that it is reserved for. */
  step: v.exactOptional(labelSchema),
}

/** Replaces a reservation by what was actually spent. */
export const settlementSchema = strictSchema({ reservationId: idSchema<ReservationId>(), amount: naturalSchema })

const defineEvent = eventDefiner<ReservationRows, ReservationReads>()
const defineCommand = commandDefiner<ReservationReads>()
const defineRow = rowDefiner<ReservationRows, ReservationReads>()

/** Reserves the amount on every budget of the task and its ancestors. */
export const budgetReserved = defineEvent('budget_reserved', {
  fields: reservationEntries,
  evolve: (draft, event) => reserve(draft, event),
})

/** Turns a reservation into consumption of what was actually spent. */
export const budgetSettled = defineEvent('budget_settled', {
  fields: { ...ofReservation, amount: naturalSchema },
  evolve: (draft, { reservationId, amount }) => settle(draft, reservationId, amount),
})

/** Gives a reservation back unspent. */
export const budgetReleased = defineEvent('budget_released', {
  fields: ofReservation,
  evolve: (draft, { reservationId }) => void closeReservation(draft, reservationId),
})

/**
 * Reserves an amount on the budgets of the task and its ancestors before it is spent. Checks: task known; run known; id
 * not open; it or an ancestor has a budget; no budget on the way up is exceeded.
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

/** Replaces a reservation by what was actually spent, even if that is more. Checks: open; every budget can count it. */
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

/** The snapshot row of an open reservation. */
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

/** A reserved amount of one dimension. */
export type Reserved = Pick<Reservation, 'reservationId' | 'taskId' | 'dimension' | 'amount'>

/** Checks amounts in sequence, each as if those before it had been applied. Changes nothing. */
class Spending {
  readonly #view: ReservationReads
  /** Reservations opened and closed by earlier checks. */
  readonly #opened = new Set<ReservationId>()
  readonly #closed = new Set<ReservationId>()
  /** By budget, how much more is reserved than the view shows. */
  readonly #reserved = new Map<string, number>()
  readonly #consumed = new Map<string, number>()

  constructor(view: ReservationReads) {
    this.#view = view
  }

  /** Returns the tasks whose budgets would be charged; raises the refusal if the amount cannot be reserved. */
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

  /** Raises the refusal if a reservation cannot be settled with this amount. */
  settle(reservationId: ReservationId, amount: number): void {
    if (this.#closed.has(reservationId)) throw new TaskError('unknown_reservation', { reservationId })
    const { taskId, dimension } = openReservation(this.#view, reservationId)
    this.#count(this.#view.budgetsFor(taskId, dimension), amount)
    this.#closed.add(reservationId)
  }

  /** Raises the refusal if an amount cannot be recorded as spent. */
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

/** Raises the refusal if amounts cannot be reserved for a task in sequence. */
export function checkReserved(
  view: ReservationReads,
  taskId: TaskId,
  reservations: readonly Omit<Reserved, 'taskId'>[],
): void {
  if (reservations.length === 0) return
  const spending = new Spending(view)
  for (const reservation of reservations) spending.reserve({ ...reservation, taskId })
}

/** Raises the refusal if reservations of a task cannot be settled, or if amounts then cannot be recorded as spent. */
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

/** Reserves an amount on every budget of the task and its ancestors. */
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

/** Settles a reservation; if it is not open, nothing changes. */
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
