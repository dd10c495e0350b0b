import * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import type { Brand } from '../base/ids.js'
import { checkText, textOf } from '../base/options.js'
import { TaskError } from './errors.js'
import type { ReservationId, RunId, TaskId } from './ids.js'

/**
 * What a budget counts: `token`, `time:ms`, `cost:usd` and the like, or a name of the service's own.
 * Money is counted in integer micro-units of the currency the name states (ruling D-21).
 */
export type BudgetDimension = Brand<string, 'BudgetDimension'>

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

/** How much of the limit is spent, in whole percent from 0 to 100 (spec mutation authority 7.7). */
export function consumedPercent({ consumed, limit }: Budget): number {
  if (consumed >= limit) return 100
  return Number((BigInt(consumed) * 100n) / BigInt(limit))
}
