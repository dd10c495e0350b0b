import * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import { checkText, strictSchema, textOf } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { TaskError } from './errors.js'
import type { BudgetDimension, TaskId } from './ids.js'
import type { RunReads, RunRows } from './run-commands.js'
import { idSchema, naturalSchema, ofTask, optionalTime } from './scalars.js'
import { knownTask, storedTask } from './task.js'

export type { BudgetDimension } from './ids.js'

const pattern = /^[a-z][a-z0-9_]{0,31}(?::[a-z0-9_]{1,32})?$/

/** Older names of dimensions. Only the name changes, never an amount. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['Token', 'token'],
  ['CostCents', 'cost:usd'],
  ['cost_cents', 'cost:usd'],
])

/** Names of dimensions that once had another unit: accepting them would change what an amount means. */
const refused: ReadonlyMap<string, string> = new Map(
  ['TimeSecs', 'time_secs'].map((name) => [name, 'time is counted in milliseconds: time:ms']),
)

/**
 * The dimension with this name or alias. Raises `invalid_budget_dimension`, and `invalid_input` if `name` is not a
 * string.
 */
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

/** The budget of one task and dimension. What the task's descendants spend is charged to it too. */
export interface Budget {
  readonly taskId: TaskId
  readonly dimension: BudgetDimension
  readonly limit: number
  /** Spent by this task and its descendants. */
  readonly consumed: number
  /** Held by open reservations; consumed + reserved never exceeds the limit when a reservation is made. */
  readonly reserved: number
  readonly allocatedAtMs: number
  /** When the limit was last raised. */
  readonly replenishedAtMs?: number
  /** consumed >= limit; no run of this task or its descendants is dispatched. */
  readonly exhausted: boolean
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

/** Checks an amount that was spent; it may be zero. Raises `invalid_amount` unless it is a whole number from 0. */
export function checkSpent(dimension: BudgetDimension, amount: number): void {
  if (!Number.isSafeInteger(amount) || amount < 0) throw new TaskError('invalid_amount', { dimension, amount })
}

/** How much of the limit is spent, in whole percent from 0 to 100 (T-113). */
export function consumedPercent({ consumed, limit }: Budget): number {
  if (consumed >= limit) return 100
  return Number((BigInt(consumed) * 100n) / BigInt(limit))
}

/** The tables defined in this file. */
export interface BudgetRows extends RunRows {
  /** By {@link budgetKey}. */
  readonly budgets: Table<string, Budget>
}

/** The reads defined in this file. */
export interface BudgetReads extends RunReads {
  /** The task's own budget, not those of its ancestors. */
  budget(taskId: TaskId, dimension: BudgetDimension): Budget | undefined
  /** The budgets charged when a task spends: its own and its ancestors', nearest first; O(depth). */
  budgetsFor(taskId: TaskId, dimension: BudgetDimension): readonly Budget[]
}

/** A draft of changes to budgets. */
export type BudgetDraft = Draft<BudgetRows, BudgetReads>

/** Key of a budget in its table. */
export function budgetKey(taskId: TaskId, dimension: BudgetDimension): string {
  return `${taskId}/${dimension}`
}

/** An amount spent without a reservation. */
export const consumptionSchema = strictSchema({ dimension: dimensionSchema, amount: naturalSchema })

/** The fields that identify a budget. */
export const ofBudget = { ...ofTask, dimension: dimensionSchema }

const defineEvent = eventDefiner<BudgetRows, BudgetReads>()
const defineCommand = commandDefiner<BudgetReads>()
const defineRow = rowDefiner<BudgetRows, BudgetReads>()

/** Creates a budget. */
export const budgetAllocated = defineEvent('budget_allocated', {
  fields: { ...ofBudget, limit: naturalSchema },
  check: ({ dimension, limit }) => checkLimit(dimension, limit),
  evolve: (draft, { taskId, dimension, limit, atMs }) => {
    putBudget(draft, { taskId, dimension, limit, consumed: 0, reserved: 0, allocatedAtMs: atMs, exhausted: false })
  },
})

/** Charges every budget of the task and its ancestors. */
export const budgetConsumed = defineEvent('budget_consumed', {
  fields: { ...ofBudget, amount: naturalSchema },
  evolve: (draft, { taskId, dimension, amount }) => consume(draft, taskId, dimension, amount),
})

/** Still readable, though no command writes it. */
export const budgetExhausted = defineEvent('budget_exhausted', {
  fields: ofBudget,
  evolve: (draft, { taskId, dimension }) => {
    const budget = draft.view.budget(taskId, dimension)
    if (budget !== undefined) putBudget(draft, { ...budget, exhausted: true })
  },
})

/** Raises the limit; what was consumed stays consumed. */
export const budgetReplenished = defineEvent('budget_replenished', {
  fields: { ...ofBudget, newLimit: naturalSchema },
  check: ({ dimension, newLimit }) => checkLimit(dimension, newLimit),
  evolve: (draft, { taskId, dimension, newLimit, atMs }) => {
    const budget = draft.view.budget(taskId, dimension)
    if (budget === undefined) return
    putBudget(draft, {
      ...budget,
      limit: newLimit,
      exhausted: budget.consumed >= newLimit,
      replenishedAtMs: atMs,
    })
  },
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

/**
 * Checks: task known; it or an ancestor has a budget; every budget can count the amount. The amount is recorded even
 * beyond the limit.
 */
export const budgetConsume = defineCommand('budget_consume', {
  fields: { ...ofBudget, amount: naturalSchema },
  check: ({ dimension, amount }) => checkAmount(dimension, amount),
  decide: (view, { taskId, dimension, amount, atMs }, sequence) => {
    knownTask(view, taskId)
    checkCountable(bearing(view, taskId, dimension), amount)
    return {
      event: budgetConsumed.create(sequence, { taskId, dimension, amount, atMs }),
      applied: { type: 'budget_consume', taskId, dimension, amount } as const,
    }
  },
})

/** Checks: task known; budget allocated; limit raised. Raises the limit and keeps what was consumed. */
export const budgetReplenish = defineCommand('budget_replenish', {
  fields: { ...ofBudget, newLimit: naturalSchema },
  check: ({ dimension, newLimit }) => checkLimit(dimension, newLimit),
  decide: (view, { taskId, dimension, newLimit, atMs }, sequence) => {
    knownTask(view, taskId)
    const budget = view.budget(taskId, dimension)
    if (budget === undefined) throw new TaskError('budget_not_allocated', { taskId, dimension })
    const { limit } = budget
    if (newLimit <= limit) throw new TaskError('budget_not_raised', { taskId, dimension, limit, newLimit })
    return {
      event: budgetReplenished.create(sequence, { taskId, dimension, newLimit, atMs }),
      applied: { type: 'budget_replenish', taskId, dimension, newLimit } as const,
    }
  },
})

/** The snapshot row of a budget. */
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

/** The budgets charged when a task spends. Raises `budget_not_allocated` when there are none. */
export function bearing(view: BudgetReads, taskId: TaskId, dimension: BudgetDimension): readonly Budget[] {
  const budgets = view.budgetsFor(taskId, dimension)
  if (budgets.length === 0) throw new TaskError('budget_not_allocated', { taskId, dimension })
  return budgets
}

/** Raises `budget_overflow` when a budget cannot count the extra amount. */
export function checkCountable(budgets: readonly Budget[], amount: number): void {
  const full = budgets.find(({ consumed }) => amount > Number.MAX_SAFE_INTEGER - consumed)
  if (full !== undefined) throw new TaskError('budget_overflow', { taskId: full.taskId, dimension: full.dimension })
}

/** Charges every budget of the task and its ancestors. */
export function consume(draft: BudgetDraft, taskId: TaskId, dimension: BudgetDimension, amount: number): void {
  for (const budget of draft.view.budgetsFor(taskId, dimension)) charge(draft, budget, { consumed: amount })
}

/** Changes of the consumed and reserved amounts of a budget; negative to take back. */
export interface BudgetChange {
  readonly consumed?: number
  readonly reserved?: number
}

/** A budget after such a change. */
export function charged(budget: Budget, change: BudgetChange): Budget {
  const consumed = budget.consumed + (change.consumed ?? 0)
  const reserved = budget.reserved + (change.reserved ?? 0)
  return { ...budget, consumed, reserved, exhausted: budget.exhausted || consumed >= budget.limit }
}

/** Stages a change of a budget's amounts. */
export function charge(draft: BudgetDraft, budget: Budget, change: BudgetChange): void {
  putBudget(draft, charged(budget, change))
}

function putBudget(draft: BudgetDraft, budget: Budget): void {
  draft.put(draft.tables.budgets, budgetKey(budget.taskId, budget.dimension), budget)
}
