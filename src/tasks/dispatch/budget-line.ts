import { onAbort } from '../../base/abort.js'
import { createDeferred, type Deferred, silence } from '../../base/promises.js'
import type { Budget, BudgetDimension } from '../budget.js'
import type { AttemptId, ReservationId, RunId, TaskId } from '../ids.js'
import type { TaskMutations } from '../authority.js'
import type { TaskProjection, TaskView } from '../view.js'
import { checkHeld } from './attempt-changes.js'
import type { AttemptIdentity } from './attempt-report.js'
import { isCrowded, shortageOf } from './spending.js'

/** Options of a {@link BudgetLine}. */
export interface BudgetLineOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly now: () => number
  /** Runs with an attempt in this process. */
  readonly attempts: () => Iterable<RunId>
  /** Called when an attempt has left the line, so others may proceed. */
  readonly onMoved: () => void
}

/** An amount that an attempt wants to reserve. */
export interface WantedAmount {
  readonly attempt: AttemptIdentity
  readonly reservationId: ReservationId
  readonly dimension: BudgetDimension
  readonly amount: number
  /** The step that it is reserved for. */
  readonly step?: string
}

interface Place extends WantedAmount {
  readonly granted: Deferred<void>
}

/** Identifies a budget. */
type LedgerKey = `${TaskId}/${BudgetDimension}`

/**
 * The waiting line for amounts that others have reserved: first come, first served on every budget.
 *
 * An attempt waits only while a reservation in its way belongs to a run that is working. A waiting attempt does not
 * count as working, so among runs that would wait for each other for ever, the last to come is refused.
 */
export class BudgetLine {
  readonly #options: BudgetLineOptions
  readonly #places = new Set<Place>()
  #isLookScheduled = false
  #isWaitingForJournal = false

  constructor(options: BudgetLineOptions) {
    this.#options = options
  }

  /** True while an attempt waits for one of the budgets that a task spends from. */
  isWaitedFor(taskId: TaskId, dimension: BudgetDimension): boolean {
    if (this.#places.size === 0) return false
    const { projection } = this.#options
    const wanted = new Set(projection.budgetsFor(taskId, dimension).map(keyOf))
    for (const place of this.#places) {
      if (budgetsFor(projection, place).some((budget) => wanted.has(keyOf(budget)))) return true
    }
    return false
  }

  /**
   * Reserves an amount, now or when its turn comes. Rejects with `budget_exceeded` if it is spent or no working attempt
   * could give it back, with the reason of a signal that aborts while it waits, and with the errors of the journal.
   */
  async reserve(wanted: WantedAmount, signals: readonly AbortSignal[]): Promise<void> {
    const place: Place = { ...wanted, granted: createDeferred<void>() }
    const isFirst = !this.isWaitedFor(wanted.attempt.taskId, wanted.dimension)
    if (isFirst && this.#offer(place)) return place.granted.promise
    this.#places.add(place)
    this.#look()
    const forget = signals.map((signal) => onAbort(signal, () => this.#withdraw(place, signal.reason)))
    try {
      await place.granted.promise
    } finally {
      for (const stopListening of forget) stopListening()
    }
  }

  /** Rejects the waiting reservations of an attempt that has ended. */
  leave(attemptId: AttemptId, reason: unknown): void {
    for (const place of this.#places) if (place.attempt.attemptId === attemptId) this.#withdraw(place, reason)
  }

  /** Checks the line soon; call it when budgets or runs have changed. */
  look(): void {
    if (this.#isLookScheduled || this.#places.size === 0) return
    this.#isLookScheduled = true
    queueMicrotask(() => {
      this.#isLookScheduled = false
      this.#look()
    })
  }

  #look(): void {
    const before = this.#places.size
    const behind = new Set<LedgerKey>()
    for (const place of this.#places) {
      const budgets = budgetsFor(this.#options.projection, place).map(keyOf)
      const isInFront = !budgets.some((key) => behind.has(key))
      if ((isInFront || this.#isSpent(place)) && this.#offer(place)) this.#places.delete(place)
      else for (const key of budgets) behind.add(key)
    }
    this.#sendStuckAway()
    if (this.#places.size < before) this.#options.onMoved()
  }

  #sendStuckAway(): void {
    while (this.#places.size > 0 && this.#isQuiet()) {
      const last = this.#stuck().at(-1)
      if (last === undefined) return
      this.#places.delete(last)
      // The obstacle may be an earlier attempt in the line that is stuck too: then this one is granted out of turn.
      this.#offer(last, 'now or never')
    }
  }

  #withdraw(place: Place, reason: unknown): void {
    // Already granted; the answer is on its way.
    if (!this.#places.delete(place)) return
    place.granted.reject(reason)
    this.look()
    this.#options.onMoved()
  }

  /** Tries to reserve an amount; false if it must wait. */
  #offer(place: Place, mode: 'or wait' | 'now or never' = 'or wait'): boolean {
    const { mutations, now } = this.#options
    const { attempt, reservationId, dimension, amount, step, granted } = place
    const { taskId, runId } = attempt
    let mustWait = false
    const change = mutations.transact((batch) => {
      checkHeld(batch, attempt)
      mustWait = mode === 'or wait' && shortageOf(batch.view, taskId, dimension, amount)?.cause === 'reserved'
      if (mustWait) return
      const ofStep = step === undefined ? {} : { step }
      batch.submit({ type: 'budget_reserve', reservationId, taskId, dimension, amount, runId, ...ofStep, atMs: now() })
    })
    if (mustWait) void silence(change)
    else change.then(granted.resolve, granted.reject)
    return !mustWait
  }

  /**
   * False while changes of the budgets in question are in flight; the line is checked again once the journal has
   * answered.
   */
  #isQuiet(): boolean {
    const { mutations, projection } = this.#options
    if (this.#isWaitingForJournal) return false
    let isQuiet = true
    const everything = mutations.transact(({ view }) => {
      isQuiet = [...this.#places].every((place) => isSame(budgetsFor(view, place), budgetsFor(projection, place)))
    })
    const goOn = (): void => {
      this.#isWaitingForJournal = false
      this.look()
    }
    if (isQuiet) return true
    this.#isWaitingForJournal = true
    everything.then(goOn, goOn)
    return false
  }

  /** Waiting attempts that no working run can help, not even through others in the line; in the order they came. */
  #stuck(): Place[] {
    const { projection } = this.#options
    const moving = this.#budgetsOfWorkers()
    const stuck: Place[] = []
    for (const place of this.#places) {
      const budgets = budgetsFor(projection, place)
      const isHopeful = budgets.some((budget) => {
        const mayMove = moving.get(keyOf(budget))
        return mayMove === 'line' || (mayMove === 'reservation' && isCrowded(budget, place.amount))
      })
      if (isHopeful) for (const budget of budgets) moving.set(keyOf(budget), 'line')
      else stuck.push(place)
    }
    return stuck
  }

  /** Budgets on which working runs, here or elsewhere, hold reservations. */
  #budgetsOfWorkers(): Map<LedgerKey, 'reservation' | 'line'> {
    const { projection, attempts } = this.#options
    const waiting = new Set([...this.#places].map(({ attempt }) => attempt.runId))
    const running = Array.from(projection.runsIn('running'), ({ id }) => id)
    const budgets = new Map<LedgerKey, 'reservation' | 'line'>()
    for (const runId of new Set([...attempts(), ...running])) {
      if (waiting.has(runId)) continue
      for (const { chargedTaskIds, dimension } of projection.reservationsOf(runId)) {
        for (const taskId of chargedTaskIds) budgets.set(keyOf({ taskId, dimension }), 'reservation')
      }
    }
    return budgets
  }

  #isSpent({ attempt, dimension, amount }: Place): boolean {
    return shortageOf(this.#options.projection, attempt.taskId, dimension, amount)?.cause === 'spent'
  }
}

function keyOf({ taskId, dimension }: Pick<Budget, 'taskId' | 'dimension'>): LedgerKey {
  return `${taskId}/${dimension}`
}

function budgetsFor(view: Pick<TaskView, 'budgetsFor'>, { attempt, dimension }: Place): readonly Budget[] {
  return view.budgetsFor(attempt.taskId, dimension)
}

/** Compares rows by identity: rows are immutable, so a changed budget is another row. */
function isSame(some: readonly Budget[], others: readonly Budget[]): boolean {
  return some.length === others.length && some.every((budget, index) => budget === others[index])
}
