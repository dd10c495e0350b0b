import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { TaskEvent } from '../catalogue.js'
import type { RunId } from '../ids.js'
import type { Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import { restOf, type TaskClock } from './task-clock.js'

/** Options of a {@link LeaseWatch}. */
export interface LeaseWatchOptions {
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly times: TaskClock
  /** True for a run with an attempt in this process, which renews its own lease. */
  readonly isAtWork: (runId: RunId) => boolean
  /** Called when another lease has expired. */
  readonly onExpired: () => void
}

/**
 * Detects expired leases of other owners. The time left of a lease when it is taken or extended is measured by the
 * monotonic clock, so setting the wall clock does not change it; for a lease from before this process started, it is
 * computed from the wall clock.
 */
export class LeaseWatch implements Disposable {
  readonly #options: LeaseWatchOptions
  readonly #deadlines = new Map<RunId, Deadline>()
  readonly #expired = new Set<RunId>()

  constructor(options: LeaseWatchOptions) {
    this.#options = options
  }

  /** Runs whose lease has expired but was not taken back yet. */
  get expired(): Iterable<RunId> {
    return this.#expired
  }

  /** Watches every existing lease. */
  start(): void {
    for (const run of this.#options.projection.leased()) this.watch(run)
  }

  /** Watches an existing lease, for instance one that an attempt of this process could not release. */
  watch({ id, lease, lastStateChangeAtMs }: Run): void {
    if (lease === undefined) return
    const whole = lease.expiresAtMs - lastStateChangeAtMs
    this.#watch(id, restOf({ dueAt: lease.expiresAtMs, whole, now: this.#options.times.now() }))
  }

  /** Handles a durable event. */
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
