import { InvalidInputError } from '../base/errors.js'
import { textOf } from '../base/options.js'
import type { RunId, TaskId } from './ids.js'
import { retryDueAt, runStates, terminalRunStates, type Run, type RunLease, type RunState } from './run.js'
import { noValues } from '../base/multi-map.js'
import { OrderedSet } from '../base/ordered-set.js'

/** A run that holds a lease. */
export type LeasedRun = Run & { readonly lease: RunLease }

/**
 * Committed runs by state and due time and by lease expiry; every change costs O(log n).
 *
 * An entry is the version of the row with which the run was inserted. It stays there as long as nothing that affects
 * the order changes, so the current row is looked up when an entry is read.
 */
export class RunIndex {
  /** Per state, in the order in which that state is processed. Scheduled runs are in `due` or `held` instead. */
  readonly #byState = new Map<RunState, OrderedSet<Run>>(
    runStates.map((state) => [state, new OrderedSet(orderOf[state])]),
  )
  /** Only the ids of runs that have ended. */
  readonly #ended = new Map<RunState, OrderedSet<RunId>>(
    terminalRunStates.map((state) => [state, new OrderedSet<RunId>(byText)]),
  )
  /** Scheduled runs that wait only for their time. */
  readonly #due = new OrderedSet<Run>(byScheduledAt)
  /** Scheduled runs of tasks that must not run now. */
  readonly #held = new OrderedSet<Run>(byScheduledAt)
  readonly #leases = new OrderedSet<LeasedRun>(byExpiry)
  readonly #mayRun: (taskId: TaskId) => boolean
  readonly #rowOf: (runId: RunId) => Run | undefined

  /** `mayRun` tells whether scheduled runs of a task wait only for their time; `rowOf` reads the committed run. */
  constructor(mayRun: (taskId: TaskId) => boolean, rowOf: (runId: RunId) => Run | undefined) {
    this.#mayRun = mayRun
    this.#rowOf = rowOf
  }

  /** Applies a committed change of a run. */
  update(before: Run | undefined, after: Run | undefined): void {
    if (before?.state !== after?.state) {
      if (before !== undefined) this.#leave(before)
      if (after !== undefined) this.#enter(after)
    }
    if (before?.lease?.expiresAtMs !== after?.lease?.expiresAtMs) {
      if (before !== undefined && isLeased(before)) this.#leases.delete(before)
      if (after !== undefined && isLeased(after)) this.#leases.add(after)
    }
  }

  /** Runs in a state, in its order; scheduled runs include held ones. */
  inState(state: RunState): Iterable<Run> {
    if (state === 'scheduled') return this.#scheduled()
    const ended = this.#ended.get(state)
    return ended === undefined ? this.#rows(this.#ordered(state)) : this.#rowsOf(ended)
  }

  /** How many runs are in a state. */
  count(state: RunState): number {
    if (state === 'scheduled') return this.#due.size + this.#held.size
    return (this.#ended.get(state) ?? this.#ordered(state)).size
  }

  /** Scheduled runs that are due, earliest first. */
  dueScheduled(now: number): Iterable<Run> {
    const { first } = this.#due
    if (first === undefined || dueAt(first) > now) return noValues
    return this.#rows(this.#due.while((run) => dueAt(run) <= now))
  }

  /** When the next of them is due. */
  nextScheduledAtMs(): number | undefined {
    return this.#due.first?.scheduledAtMs
  }

  /** Runs in `retry_wait` that are due, earliest first; times in epoch milliseconds. */
  dueRetries(nowMs: number): Iterable<Run> {
    return this.#rows(this.#ordered('retry_wait').while((run) => retryDueAt(run) <= nowMs))
  }

  /** When the next of them is due. */
  nextRetryAtMs(): number | undefined {
    const { first } = this.#ordered('retry_wait')
    return first && retryDueAt(first)
  }

  /** Leased runs whose lease has expired, earliest first. */
  expiredLeases(now: number): Iterable<Run> {
    return this.#rows(this.#leases.while(({ lease }) => now >= lease.expiresAtMs))
  }

  /** Runs that hold a lease, earliest expiry first. */
  leased(): Iterable<Run> {
    return this.#rows(this.#leases)
  }

  /** When the next lease expires. */
  nextLeaseExpiresAtMs(): number | undefined {
    return this.#leases.first?.lease.expiresAtMs
  }

  /** Moves the scheduled runs of a task between due and held, as `mayRun` says. */
  updateGate(scheduledRuns: Iterable<Run>, mayRun: boolean): void {
    const [from, to] = mayRun ? [this.#held, this.#due] : [this.#due, this.#held]
    for (const run of scheduledRuns) if (from.delete(run)) to.add(run)
  }

  *#scheduled(): Iterable<Run> {
    yield* this.#rows(this.#due)
    yield* this.#rows(this.#held)
  }

  #ordered(state: RunState): OrderedSet<Run> {
    const ordered = this.#byState.get(state)
    if (ordered !== undefined) return ordered
    const reason = `${textOf(state)} is none of ${runStates.join(', ')}`
    throw new InvalidInputError({ subject: 'run state', field: '$', reason })
  }

  *#rows(entries: Iterable<Run>): Iterable<Run> {
    for (const { id } of entries) {
      const run = this.#rowOf(id)
      if (run !== undefined) yield run
    }
  }

  *#rowsOf(ids: Iterable<RunId>): Iterable<Run> {
    for (const id of ids) {
      const run = this.#rowOf(id)
      if (run !== undefined) yield run
    }
  }

  #enter(run: Run): void {
    const ended = this.#ended.get(run.state)
    if (ended !== undefined) ended.add(run.id)
    else if (run.state !== 'scheduled') this.#ordered(run.state).add(run)
    else if (this.#mayRun(run.taskId)) this.#due.add(run)
    else this.#held.add(run)
  }

  #leave(run: Run): void {
    const ended = this.#ended.get(run.state)
    if (ended !== undefined) ended.delete(run.id)
    else if (run.state !== 'scheduled') this.#ordered(run.state).delete(run)
    else if (!this.#due.delete(run)) this.#held.delete(run)
  }
}

/**
 * From when a run may start. One that was due when it was created is due at once, even if the wall clock is set back.
 */
function dueAt({ scheduledAtMs, createdAtMs }: Run): number {
  return scheduledAtMs <= createdAtMs ? 0 : scheduledAtMs
}

function isLeased(run: Run): run is LeasedRun {
  return run.lease !== undefined
}

type Order = (one: Run, other: Run) => number

const byText = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)
const byId: Order = (one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0)
const byScheduledAt: Order = (one, other) =>
  dueAt(one) - dueAt(other) || one.scheduledAtMs - other.scheduledAtMs || byId(one, other)
const byRetry: Order = (one, other) => retryDueAt(one) - retryDueAt(other) || byId(one, other)
const byExpiry = (one: LeasedRun, other: LeasedRun): number =>
  one.lease.expiresAtMs - other.lease.expiresAtMs || byId(one, other)
/** The order of selection: priority, age, id (T-76). */
export const bySelection: Order = (one, other) =>
  other.effectivePriority - one.effectivePriority || one.createdAtMs - other.createdAtMs || byId(one, other)

const orderOf: Readonly<Record<RunState, Order>> = {
  ...(Object.fromEntries(runStates.map((state) => [state, byId])) as Record<RunState, Order>),
  ready: bySelection,
  retry_wait: byRetry,
}
