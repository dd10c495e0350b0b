import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { StatewardError } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import { silence } from '../../base/promises.js'
import { budgetDimension, type BudgetDimension, checkAmount, checkSpent } from '../budget.js'
import { checkCountable } from '../budget.js'
import { isRefusal, TaskError } from '../errors.js'
import type { ReservationId } from '../ids.js'
import type { TaskBatch, TaskMutations } from '../authority.js'
import type { TaskProjection } from '../view.js'
import type { AttemptIdentity } from './attempt-report.js'
import type { BudgetLine } from './budget-line.js'
import type { BudgetAccess, ReserveOptions, Spending } from './handler.js'
import { type AttemptSpending, type RefusedAmount, reservationsAtOnce } from './spending.js'
import { fireForSpending } from './triggers.js'

/** Options and dependencies of an {@link Account}. */
export interface AccountOptions {
  readonly attempt: AttemptIdentity
  /** Aborts when the attempt has to stop; read only when a reservation has to wait. */
  readonly signal: () => AbortSignal
  /** Reservations made when the attempt started. */
  readonly reservedAtStart: ReadonlyMap<BudgetDimension, ReservationId>
  /** Where reservations are made. */
  readonly line: BudgetLine
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly ids: IdSource
  readonly now: () => number
}

/**
 * The budget account of one attempt: what it reserves, gives back and reports. It knows of a reservation before the
 * journal does. Disposed at the end of the attempt; afterwards it reserves nothing.
 */
export class Account implements BudgetAccess, AttemptSpending, Disposable {
  readonly reservedAtStart: ReadonlyMap<BudgetDimension, ReservationId>
  readonly reservationIds: Set<ReservationId>
  readonly settled = new Map<ReservationId, number>()
  refused: RefusedAmount | undefined
  readonly reported = new Map<BudgetDimension, number>()
  readonly #options: AccountOptions
  readonly #refusals = new WeakSet<object>()
  /** Reservations for steps. There are few; the end of the attempt closes them. */
  readonly #ofSteps = new Set<ReservationId>()
  #isOver = false

  constructor(options: AccountOptions) {
    this.#options = options
    this.reservedAtStart = options.reservedAtStart
    this.reservationIds = new Set(options.reservedAtStart.values())
  }

  readonly reserve = (name: string, amount: number, options: ReserveOptions = {}): Promise<Spending> =>
    silence(this.#reserve(name, amount, options))

  /** Reserves an amount for a step; `undefined` if no budget counts it. Rejects as {@link Account.reserve} does. */
  async reserveFor(step: string, name: string, amount: number): Promise<ReservationId | undefined> {
    const dimension = this.#checkReserve(name, amount)
    const { attempt, projection } = this.#options
    if (this.#isOver) throw this.#superseded()
    if (projection.budgetsFor(attempt.taskId, dimension).length === 0) return undefined
    return this.#setAside({ dimension, amount, step }, [this.#options.signal()])
  }

  /** Takes over a reservation that an earlier attempt made for a step. */
  takeOver(reservationId: ReservationId): void {
    this.reservationIds.add(reservationId)
    this.#ofSteps.add(reservationId)
  }

  readonly report = (name: string, amount: number): void => {
    const { attempt, projection } = this.#options
    const dimension = budgetDimension(name)
    checkSpent(dimension, amount)
    const total = (this.reported.get(dimension) ?? 0) + amount
    if (!Number.isSafeInteger(total)) throw new TaskError('invalid_amount', { dimension, amount })
    checkCountable(projection.budgetsFor(attempt.taskId, dimension), total)
    this.reported.set(dimension, total)
  }

  readonly remaining = (name: string): number | undefined => {
    const { attempt, projection } = this.#options
    const budgets = projection.budgetsFor(attempt.taskId, budgetDimension(name))
    if (budgets.length === 0) return undefined
    return Math.max(0, Math.min(...budgets.map(({ limit, consumed, reserved }) => limit - consumed - reserved)))
  };

  [Symbol.dispose](): void {
    this.#isOver = true
    this.#options.line.leave(this.#options.attempt.attemptId, this.#superseded())
  }

  /**
   * True for a `budget_exceeded` that this account raised itself: a replenishment can resolve that one and no other.
   */
  hasRefused(thrown: unknown): boolean {
    return typeof thrown === 'object' && thrown !== null && this.#refusals.has(thrown)
  }

  /** Some of the open reservations that exceed what can be closed together with the end of the attempt. */
  surplus(): readonly ReservationId[] {
    if (this.reservationIds.size - this.#ofSteps.size <= reservationsAtOnce) return []
    const atStart = new Set(this.reservedAtStart.values())
    const surplus: ReservationId[] = []
    for (const id of this.reservationIds) {
      if (surplus.length === reservationsAtOnce) break
      if (!atStart.has(id) && !this.#ofSteps.has(id)) surplus.push(id)
    }
    return surplus
  }

  /** Drops reservations that have been closed. */
  forget(closed: readonly ReservationId[]): void {
    for (const id of closed) {
      this.reservationIds.delete(id)
      this.#ofSteps.delete(id)
    }
  }

  async #reserve(name: string, amount: number, options: ReserveOptions): Promise<Spending> {
    const { attempt, projection, now } = this.#options
    const dimension = this.#checkReserve(name, amount)
    const { signal: given } = decode(reserveOptions, options, 'reserve options')
    const signal = this.#options.signal()
    signal.throwIfAborted()
    given?.throwIfAborted()
    if (this.#isOver) throw this.#superseded()
    if (projection.budgetsFor(attempt.taskId, dimension).length === 0) return unlimited(dimension)
    const signals = given === undefined ? [signal] : [signal, given]
    const reservationId = await this.#setAside({ dimension, amount }, signals)
    return {
      settle: (spent) => silence(this.#settle(reservationId, dimension, spent)),
      release: () =>
        silence(
          this.#close(reservationId, dimension, (batch) =>
            batch.submit({ type: 'budget_release', reservationId, atMs: now() }),
          ),
        ),
    }
  }

  #checkReserve(name: string, amount: number): BudgetDimension {
    const dimension = budgetDimension(name)
    checkAmount(dimension, amount)
    if (!Number.isSafeInteger(amount) || amount < 0) throw new TaskError('invalid_amount', { dimension, amount })
    return dimension
  }

  async #setAside(
    wanted: { readonly dimension: BudgetDimension; readonly amount: number; readonly step?: string },
    signals: readonly AbortSignal[],
  ): Promise<ReservationId> {
    const { attempt, line, ids } = this.#options
    for (const signal of signals) signal.throwIfAborted()
    const { dimension, amount } = wanted
    const reservationId = ids.uuid() as ReservationId
    this.reservationIds.add(reservationId)
    if (wanted.step !== undefined) this.#ofSteps.add(reservationId)
    try {
      await line.reserve({ attempt, reservationId, ...wanted }, signals)
    } catch (refusal) {
      if (StatewardError.is(refusal, 'budget_exceeded')) {
        this.#refusals.add(refusal)
        this.refused = { dimension, amount: amount + this.#heldOf(dimension) }
      }
      throw refusal
    }
    return reservationId
  }

  #heldOf(wanted: BudgetDimension): number {
    const { attempt, projection } = this.#options
    let held = 0
    for (const { dimension, amount } of projection.reservationsOf(attempt.runId))
      if (dimension === wanted) held += amount
    return held
  }

  #superseded(): TaskError<'fencing_token_superseded'> {
    const { runId, fencingToken: provided } = this.#options.attempt
    return new TaskError('fencing_token_superseded', { runId, provided, current: undefined })
  }

  /** If the journal cannot take the amount now, it is kept for the end of the attempt. A refused amount is ignored. */
  async #settle(id: ReservationId, dimension: BudgetDimension, spent: number): Promise<void> {
    checkSpent(dimension, spent)
    const before = this.settled.get(id)
    this.settled.set(id, spent)
    try {
      await this.#close(id, dimension, (batch) =>
        batch.submit({ type: 'budget_settle', reservationId: id, amount: spent, atMs: this.#options.now() }),
      )
    } catch (failure) {
      if (isRefusal(failure)) {
        if (before === undefined) this.settled.delete(id)
        else this.settled.set(id, before)
      }
      throw failure
    }
  }

  async #close(id: ReservationId, dimension: BudgetDimension, close: (batch: TaskBatch) => unknown): Promise<void> {
    const { attempt, mutations, projection, now } = this.#options
    await mutations.transact((batch) => {
      close(batch)
      fireForSpending(batch, projection, attempt.taskId, [dimension], now())
    })
    this.reservationIds.delete(id)
  }
}

const reserveOptions = v.strictObject({
  signal: v.optional(v.custom<AbortSignal>((value) => value instanceof AbortSignal, 'must be an AbortSignal')),
})

/** A spending that no budget limits. */
function unlimited(dimension: BudgetDimension): Spending {
  return { settle: (spent) => silence(noBudget(dimension, spent)), release: () => Promise.resolve() }
}

async function noBudget(dimension: BudgetDimension, spent: number): Promise<void> {
  checkSpent(dimension, spent)
}
