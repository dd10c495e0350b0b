import type { RunId, TaskId } from '../ids.js'
import { runStates, type Run, type RunLease, type RunState } from '../run.js'
import type { Timestamp } from '../scalars.js'
import { OrderedSet } from './ordered-set.js'

/** A run that holds a lease. */
export type LeasedRun = Run & { readonly lease: RunLease }

/** Committed runs by state and due time, by lease expiry and by task; every change costs O(log n). */
export class RunIndex {
  /** Per state, in the order in which that state is worked off. Scheduled runs stand in `due` or `held` instead. */
  readonly #byState = new Map<RunState, OrderedSet<Run>>(
    runStates.map((state) => [state, new OrderedSet(orderOf[state])]),
  )
  /** Scheduled runs that only wait for their time. */
  readonly due = new OrderedSet<Run>(byScheduledAt)
  /** Scheduled runs of tasks that must not run now. */
  readonly held = new OrderedSet<Run>(byScheduledAt)
  readonly leases = new OrderedSet<LeasedRun>(byExpiry)
  readonly idsByTask = new Map<TaskId, RunId[]>()
  readonly #mayRun: (taskId: TaskId) => boolean

  /** `mayRun` says whether scheduled runs of a task wait for nothing but their time. */
  constructor(mayRun: (taskId: TaskId) => boolean) {
    this.#mayRun = mayRun
  }

  /** Takes a committed change of a run. */
  update(before: Run | undefined, after: Run | undefined): void {
    if (before === undefined && after !== undefined) this.#registerWithTask(after)
    if (before !== undefined) this.#remove(before)
    if (after !== undefined) this.#add(after)
  }

  /** Runs in a state, in its order; scheduled ones whether due or held. */
  inState(state: RunState): Iterable<Run> {
    return state === 'scheduled' ? this.#scheduled() : this.ordered(state)
  }

  /** Runs in a state other than `scheduled`. */
  ordered(state: RunState): OrderedSet<Run> {
    return this.#byState.get(state) as OrderedSet<Run>
  }

  /** How many runs are in a state. */
  count(state: RunState): number {
    return state === 'scheduled' ? this.due.size + this.held.size : this.ordered(state).size
  }

  /** Moves the scheduled runs of a task to where `mayRun` now puts them. */
  rehold(scheduledRuns: Iterable<Run>, mayRun: boolean): void {
    const [from, to] = mayRun ? [this.held, this.due] : [this.due, this.held]
    for (const run of scheduledRuns) if (from.delete(run)) to.add(run)
  }

  *#scheduled(): Iterable<Run> {
    yield* this.due
    yield* this.held
  }

  #add(run: Run): void {
    if (run.state !== 'scheduled') this.ordered(run.state).add(run)
    else if (this.#mayRun(run.taskId)) this.due.add(run)
    else this.held.add(run)
    if (isLeased(run)) this.leases.add(run)
  }

  #remove(run: Run): void {
    if (run.state !== 'scheduled') this.ordered(run.state).delete(run)
    else if (!this.due.delete(run)) this.held.delete(run)
    if (isLeased(run)) this.leases.delete(run)
  }

  #registerWithTask({ id, taskId }: Run): void {
    const ids = this.idsByTask.get(taskId)
    if (ids === undefined) this.idsByTask.set(taskId, [id])
    else ids.push(id)
  }
}

/** When a waiting retry is due. */
export function retryDueAt({ retryAt, lastStateChangeAt }: Run): Timestamp {
  return retryAt ?? lastStateChangeAt
}

function isLeased(run: Run): run is LeasedRun {
  return run.lease !== undefined
}

type Order = (one: Run, other: Run) => number

const byId: Order = (one, other) => (one.id < other.id ? -1 : one.id > other.id ? 1 : 0)
const byScheduledAt: Order = (one, other) => one.scheduledAt - other.scheduledAt || byId(one, other)
const byRetry: Order = (one, other) => retryDueAt(one) - retryDueAt(other) || byId(one, other)
const byExpiry = (one: LeasedRun, other: LeasedRun): number => one.lease.expiry - other.lease.expiry || byId(one, other)
/** Spec mutation authority 7.4. */
const bySelection: Order = (one, other) =>
  other.effectivePriority - one.effectivePriority || one.createdAt - other.createdAt || byId(one, other)

const orderOf: Readonly<Record<RunState, Order>> = {
  ...(Object.fromEntries(runStates.map((state) => [state, byId])) as Record<RunState, Order>),
  ready: bySelection,
  retry_wait: byRetry,
}
