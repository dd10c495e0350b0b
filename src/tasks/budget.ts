import * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import { checkText, strictSchema, textOf } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { BudgetDimension, ReservationId, RunId, TaskId } from './ids.js'
import { knownRun, type RunReads, type RunRows } from './run-commands.js'
import {
  idSchema,
  labelSchema,
  naturalSchema,
  ofReservation,
  ofTask,
  optionalRunId,
  optionalTime,
  taskIdsSchema,
} from './scalars.js'
import { checkNewRow, knownTask, storedTask } from './task.js'

export type { BudgetDimension } from './ids.js'

const pattern = /^[a-z][a-z0-9_]{0,31}(?::[a-z0-9_]{1,32})?$/

/** Names that ancestors of this ledger used; only the name changes, never an amount. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['Token', 'token'],
  ['CostCents', 'cost:usd'],
  ['cost_cents', 'cost:usd'],
])

/** Names of a dimension that counted another unit: taken as they are, an amount would mean something else. */
const refused: ReadonlyMap<string, string> = new Map(
  ['TimeSecs', 'time_secs'].map((name) => [name, 'time is counted in milliseconds: time:ms']),
)

/** The dimension of this name or alias; raises `invalid_budget_dimension`, and `invalid_input` for what is no text. */
export function budgetDimension(name: string): BudgetDimension {
  checkText('budget dimension', name)
  const reason = refused.get(name)
  if (reason !== undefined) throw new TaskError('invalid_budget_dimension', { name, reason })
  const dimension = aliases.get(name) ?? name
  if (!pattern.test(dimension)) throw new TaskError('invalid_budget_dimension', { name: name.slice(0, 64) })
  return dimension as BudgetDimension
}

/** Accepts a dimension in its canonical spelling. */
export const dimensionSchema = v.custom<BudgetDimension>(
  (input) => typeof input === 'string' && pattern.test(input) && !aliases.has(input) && !refused.has(input),
  ({ input }) => refused.get(input as string) ?? 'expected a budget dimension such as token, cost:usd or time:ms',
)

/** The ledger of one task and dimension; it also bears what the task's descendants spend. */
export interface Budget {
  readonly taskId: TaskId
  readonly dimension: BudgetDimension
  readonly limit: number
  /** Spent, by this task and its descendants. */
  readonly consumed: number
  /** Promised to open reservations; consumed + reserved never exceeds the limit at the moment of reserving. */
  readonly reserved: number
  readonly allocatedAtMs: number
  /** When the limit was last raised. */
  readonly replenishedAtMs?: number
  /** consumed >= limit; no task below is dispatched. */
  readonly exhausted: boolean
}

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
  /** The task and its ancestors whose ledgers bear the reservation. */
  readonly chargedTaskIds: readonly TaskId[]
  readonly reservedAtMs: number
}

/** Raises `zero_limit`. */
export function checkLimit(dimension: BudgetDimension, limit: number): void {
  if (limit === 0) throw new TaskError('zero_limit', { dimension })
}

/** Raises `invalid_input` unless the amount is a whole number from 0, then `zero_amount`. */
export function checkAmount(dimension: BudgetDimension, amount: number): void {
  if (!Number.isSafeInteger(amount) || amount < 0) {
    const reason = `not a whole number from 1: ${textOf(amount)}`
    throw new InvalidInputError({ subject: 'budget amount', field: dimension, reason })
  }
  if (amount === 0) throw new TaskError('zero_amount', { dimension })
}

/** What was spent may be nothing. Raises `invalid_amount` unless it is a whole number from 0. */
export function checkSpent(dimension: BudgetDimension, amount: number): void {
  if (!Number.isSafeInteger(amount) || amount < 0) throw new TaskError('invalid_amount', { dimension, amount })
}

/** How much of the limit is spent, in whole percent from 0 to 100 (T-113). */
export function consumedPercent({ consumed, limit }: Budget): number {
  if (consumed >= limit) return 100
  return Number((BigInt(consumed) * 100n) / BigInt(limit))
}

/** Tables of this file. */
export interface BudgetRows extends RunRows {
  /** By {@link budgetKey}. */
  readonly budgets: Table<string, Budget>
  /** The open ones. */
  readonly reservations: Table<ReservationId, Reservation>
}

/** Reads of this file. */
export interface BudgetReads extends RunReads {
  /** Exactly this task's own ledger. */
  budget(taskId: TaskId, dimension: BudgetDimension): Budget | undefined
  /** The ledgers a task spends from: its own and its ancestors', nearest first; O(depth). */
  ledgersFor(taskId: TaskId, dimension: BudgetDimension): readonly Budget[]
  /** An open reservation. */
  reservation(reservationId: ReservationId): Reservation | undefined
}

/** A change of budgets in the making. */
export type BudgetDraft = Draft<BudgetRows, BudgetReads>

/** Key of a ledger. */
export function budgetKey(taskId: TaskId, dimension: BudgetDimension): string {
  return `${taskId}/${dimension}`
}

const ofBudget = { ...ofTask, dimension: dimensionSchema }
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

/** What was spent without a reservation. */
export const consumptionSchema = strictSchema({ dimension: dimensionSchema, amount: naturalSchema })

const defineEvent = eventDefiner<BudgetRows, BudgetReads>()
const defineCommand = commandDefiner<BudgetReads>()
const defineRow = rowDefiner<BudgetRows, BudgetReads>()

/** Opens a ledger. */
export const budgetAllocated = defineEvent('budget_allocated', {
  fields: { ...ofBudget, limit: naturalSchema },
  check: ({ dimension, limit }) => checkLimit(dimension, limit),
  evolve: (draft, { taskId, dimension, limit, atMs }) => {
    putBudget(draft, { taskId, dimension, limit, consumed: 0, reserved: 0, allocatedAtMs: atMs, exhausted: false })
  },
})

/** Charges every ledger the task spends from. */
export const budgetConsumed = defineEvent('budget_consumed', {
  fields: { ...ofBudget, amount: naturalSchema },
  evolve: (draft, { taskId, dimension, amount }) => consume(draft, taskId, dimension, amount),
})

/** Accepted though no command writes it. */
export const budgetExhausted = defineEvent('budget_exhausted', {
  fields: ofBudget,
  evolve: (draft, { taskId, dimension }) => {
    const ledger = draft.view.budget(taskId, dimension)
    if (ledger !== undefined) putBudget(draft, { ...ledger, exhausted: true })
  },
})

/** Raises the limit; what was consumed stays consumed. */
export const budgetReplenished = defineEvent('budget_replenished', {
  fields: { ...ofBudget, newLimit: naturalSchema },
  check: ({ dimension, newLimit }) => checkLimit(dimension, newLimit),
  evolve: (draft, { taskId, dimension, newLimit, atMs }) => {
    const ledger = draft.view.budget(taskId, dimension)
    if (ledger === undefined) return
    putBudget(draft, {
      ...ledger,
      limit: newLimit,
      exhausted: ledger.consumed >= newLimit,
      replenishedAtMs: atMs,
    })
  },
})

/** Sets the amount aside on every ledger the task spends from. */
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

/** Checks: task known; not allocated. */
export const budgetAllocate = defineCommand('budget_allocate', {
  fields: { ...ofBudget, limit: naturalSchema },
  check: ({ dimension, limit }) => checkLimit(dimension, limit),
  decide: (view, { taskId, dimension, limit, atMs }, sequence) => {
    knownTask(view, taskId)
    if (view.budget(taskId, dimension) !== undefined) {
      throw new TaskError('budget_already_allocated', { taskId, dimension })
    }
    return {
      event: budgetAllocated.create(sequence, { taskId, dimension, limit, atMs }),
      applied: { type: 'budget_allocate', taskId, dimension, limit } as const,
    }
  },
})

/** Checks: task known; a ledger bears it; every ledger can count it. What was spent is recorded even beyond the limit. */
export const budgetConsume = defineCommand('budget_consume', {
  fields: { ...ofBudget, amount: naturalSchema },
  check: ({ dimension, amount }) => checkAmount(dimension, amount),
  decide: (view, { taskId, dimension, amount, atMs }, sequence) => {
    knownTask(view, taskId)
    new Spending(view).consume(taskId, dimension, amount)
    return {
      event: budgetConsumed.create(sequence, { taskId, dimension, amount, atMs }),
      applied: { type: 'budget_consume', taskId, dimension, amount } as const,
    }
  },
})

/** Checks: task known; allocated; raised. Raises the limit and keeps what was consumed. */
export const budgetReplenish = defineCommand('budget_replenish', {
  fields: { ...ofBudget, newLimit: naturalSchema },
  check: ({ dimension, newLimit }) => checkLimit(dimension, newLimit),
  decide: (view, { taskId, dimension, newLimit, atMs }, sequence) => {
    knownTask(view, taskId)
    const ledger = view.budget(taskId, dimension)
    if (ledger === undefined) throw new TaskError('budget_not_allocated', { taskId, dimension })
    const { limit } = ledger
    if (newLimit <= limit) throw new TaskError('budget_not_raised', { taskId, dimension, limit, newLimit })
    return {
      event: budgetReplenished.create(sequence, { taskId, dimension, newLimit, atMs }),
      applied: { type: 'budget_replenish', taskId, dimension, newLimit } as const,
    }
  },
})

/**
 * Sets an amount aside on the ledgers of the task and its ancestors before it is spent.
 * Checks: task known; run known; id not open; a ledger bears it; no ledger on the way up is exceeded.
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
 * Checks: open; every ledger can count it.
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

/** A ledger as it stands. */
export const budgetRow = defineRow('budget', {
  fields: {
    taskId: idSchema<TaskId>(),
    dimension: dimensionSchema,
    limit: naturalSchema,
    consumed: naturalSchema,
    reserved: naturalSchema,
    allocatedAtMs: naturalSchema,
    replenishedAtMs: optionalTime,
    exhausted: v.boolean(),
  },
  capture: ({ budgets }) => budgets.rows(),
  restore: (draft, budget) => {
    const { taskId, dimension, limit, consumed, exhausted } = budget
    if (draft.view.budget(taskId, dimension) !== undefined) {
      throw new TaskError('snapshot_duplicate_budget', { taskId, dimension })
    }
    storedTask(draft, taskId, 'budget')
    if (limit === 0) throw new TaskError('snapshot_budget', { taskId, dimension, reason: 'no limit' })
    if (consumed >= limit && !exhausted) {
      throw new TaskError('snapshot_budget', { taskId, dimension, reason: 'spent and not exhausted' })
    }
    putBudget(draft, budget)
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
export class Spending {
  readonly #view: BudgetReads
  /** Reservations opened and closed by what was judged before. */
  readonly #opened = new Set<ReservationId>()
  readonly #closed = new Set<ReservationId>()
  /** By ledger, what it bears more than the view shows. */
  readonly #reserved = new Map<string, number>()
  readonly #consumed = new Map<string, number>()

  constructor(view: BudgetReads) {
    this.#view = view
  }

  /** Raises what keeps an amount from being set aside; returns the tasks whose ledgers bear it. */
  reserve({ reservationId, taskId, dimension, amount }: Reserved): readonly TaskId[] {
    if (this.#opened.has(reservationId) || this.#view.reservation(reservationId) !== undefined) {
      throw new TaskError('reservation_already_exists', { reservationId })
    }
    const ledgers = this.#ledgersOf(taskId, dimension)
    for (const { taskId: bearer, limit, consumed, reserved: before } of ledgers) {
      const reserved = before + (this.#reserved.get(budgetKey(bearer, dimension)) ?? 0)
      if (consumed + reserved + amount > limit) {
        throw new TaskError('budget_exceeded', { taskId: bearer, dimension, limit, consumed, reserved, amount })
      }
    }
    this.#opened.add(reservationId)
    for (const ledger of ledgers) add(this.#reserved, budgetKey(ledger.taskId, dimension), amount)
    return ledgers.map((ledger) => ledger.taskId)
  }

  /** Raises what keeps a reservation from being replaced by what was spent. */
  settle(reservationId: ReservationId, amount: number): void {
    if (this.#closed.has(reservationId)) throw new TaskError('unknown_reservation', { reservationId })
    const { taskId, dimension } = openReservation(this.#view, reservationId)
    this.#count(this.#view.ledgersFor(taskId, dimension), amount)
    this.#closed.add(reservationId)
  }

  /** Raises what keeps an amount from being recorded as spent. */
  consume(taskId: TaskId, dimension: BudgetDimension, amount: number): void {
    this.#count(this.#ledgersOf(taskId, dimension), amount)
  }

  #count(ledgers: readonly Budget[], amount: number): void {
    const key = (ledger: Budget): string => budgetKey(ledger.taskId, ledger.dimension)
    checkCountable(
      ledgers.map((ledger) => ({ ...ledger, consumed: ledger.consumed + (this.#consumed.get(key(ledger)) ?? 0) })),
      amount,
    )
    for (const ledger of ledgers) add(this.#consumed, key(ledger), amount)
  }

  #ledgersOf(taskId: TaskId, dimension: BudgetDimension): readonly Budget[] {
    const ledgers = this.#view.ledgersFor(taskId, dimension)
    if (ledgers.length === 0) throw new TaskError('budget_not_allocated', { taskId, dimension })
    return ledgers
  }
}

/** Raises `budget_overflow` when a ledger cannot count this much more. */
export function checkCountable(ledgers: readonly Budget[], amount: number): void {
  const full = ledgers.find(({ consumed }) => amount > Number.MAX_SAFE_INTEGER - consumed)
  if (full !== undefined) throw new TaskError('budget_overflow', { taskId: full.taskId, dimension: full.dimension })
}

/** Sets an amount aside on every ledger the task spends from. */
export function reserve(
  draft: BudgetDraft,
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
  const ledgers = draft.view.ledgersFor(taskId, dimension)
  for (const ledger of ledgers) charge(draft, ledger, { reserved: amount })
  draft.put(draft.tables.reservations, reservationId, {
    reservationId,
    taskId,
    ...(runId !== undefined && { runId }),
    ...(step !== undefined && { step }),
    dimension,
    amount,
    chargedTaskIds: ledgers.map((ledger) => ledger.taskId),
    reservedAtMs: atMs,
  })
}

/** Replaces a reservation by what was spent; without one, nothing changes. */
export function settle(draft: BudgetDraft, reservationId: ReservationId, amount: number): void {
  const closed = closeReservation(draft, reservationId)
  if (closed !== undefined) consume(draft, closed.taskId, closed.dimension, amount)
}

/** Charges every ledger the task spends from. */
export function consume(draft: BudgetDraft, taskId: TaskId, dimension: BudgetDimension, amount: number): void {
  for (const ledger of draft.view.ledgersFor(taskId, dimension)) charge(draft, ledger, { consumed: amount })
}

function closeReservation(draft: BudgetDraft, reservationId: ReservationId): Reservation | undefined {
  const reservation = draft.view.reservation(reservationId)
  if (reservation === undefined) return undefined
  const { dimension, amount, chargedTaskIds } = reservation
  for (const taskId of chargedTaskIds) {
    const ledger = draft.view.budget(taskId, dimension)
    if (ledger !== undefined) charge(draft, ledger, { reserved: -amount })
  }
  draft.put(draft.tables.reservations, reservationId, undefined)
  return reservation
}

/** What a ledger comes to bear, or no longer bears. */
export interface LedgerChange {
  readonly consumed?: number
  readonly reserved?: number
}

/** A ledger after a change. */
export function charged(ledger: Budget, change: LedgerChange): Budget {
  const consumed = ledger.consumed + (change.consumed ?? 0)
  const reserved = ledger.reserved + (change.reserved ?? 0)
  return { ...ledger, consumed, reserved, exhausted: ledger.exhausted || consumed >= ledger.limit }
}

function charge(draft: BudgetDraft, ledger: Budget, change: LedgerChange): void {
  putBudget(draft, charged(ledger, change))
}

function putBudget(draft: BudgetDraft, budget: Budget): void {
  draft.put(draft.tables.budgets, budgetKey(budget.taskId, budget.dimension), budget)
}

function openReservation(view: BudgetReads, reservationId: ReservationId): Reservation {
  const reservation = view.reservation(reservationId)
  if (reservation === undefined) throw new TaskError('unknown_reservation', { reservationId })
  return reservation
}

function add(amounts: Map<string, number>, key: string, amount: number): void {
  amounts.set(key, (amounts.get(key) ?? 0) + amount)
}
