import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { TaskEvent } from '../catalogue.js'
import type { RunId } from '../ids.js'
import type { Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import { restOf, type TaskClock } from './task-clock.js'

/** What the watch is built on. */
export interface LeaseWatchOptions {
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly times: TaskClock
  /** True for a run with an attempt in this process, which keeps its lease by itself. */
  readonly isAtWork: (runId: RunId) => boolean
  /** Called when another lease has expired. */
  readonly onExpired: () => void
}

/**
 * Notices leases of others that expire. How long a lease has to go when it is given or extended is monotonic, however the
 * wall clock is set meanwhile; of one that an earlier process saw, the rest is taken by the wall clock.
 */
export class LeaseWatch implements Disposable {
  readonly #options: LeaseWatchOptions
  readonly #deadlines = new Map<RunId, Deadline>()
  readonly #expired = new Set<RunId>()

  constructor(options: LeaseWatchOptions) {
    this.#options = options
  }

  /** Runs whose lease has expired and stands all the same. */
  get expired(): Iterable<RunId> {
    return this.#expired
  }

  /** Watches every lease that is there already. */
  start(): void {
    for (const run of this.#options.projection.leased()) this.watch(run)
  }

  /** Watches a lease that is there already, for instance one that an attempt of this process could not give back. */
  watch({ id, lease, lastStateChangeAtMs }: Run): void {
    if (lease === undefined) return
    const whole = lease.expiresAtMs - lastStateChangeAtMs
    this.#watch(id, restOf({ dueAt: lease.expiresAtMs, whole, now: this.#options.times.now() }))
  }

  /** Takes a durable event. */
  observe(event: TaskEvent): void {
    if (event.type === 'lease_acquired' || event.type === 'lease_heartbeat' || event.type === 'attempt_begun') {
      this.#watch(event.runId, Math.max(0, event.expiresAtMs - event.atMs))
    } else if ('runId' in event && event.runId !== undefined && this.#isWatched(event.runId)) {
      if (this.#options.projection.run(event.runId)?.lease === undefined) this.#forget(event.runId)
    }
  }

  [Symbol.dispose](): void {
    for (const runId of this.#deadlines.keys()) this.#forget(runId)
  }

  #isWatched(runId: RunId): boolean {
    return this.#deadlines.has(runId) || this.#expired.has(runId)
  }

  #watch(runId: RunId, delayMs: number): void {
    this.#forget(runId)
    const { deadlines, isAtWork, onExpired } = this.#options
    if (isAtWork(runId)) return
    const deadline = deadlines.after(delayMs, () => {
      this.#deadlines.delete(runId)
      this.#expired.add(runId)
      onExpired()
    })
    this.#deadlines.set(runId, deadline)
  }

  #forget(runId: RunId): void {
    this.#deadlines.get(runId)?.[Symbol.dispose]()
    this.#deadlines.delete(runId)
    this.#expired.delete(runId)
  }
}
