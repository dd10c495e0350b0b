import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import type { HeldLease, LeaseSubject } from './cluster-source.js'
import type { MonotonicMs } from './vocabulary.js'

interface Held {
  readonly fence: number
  /** From this instant on another node may hold it. */
  validUntil: MonotonicMs
  /** When this node gives it up by itself. */
  stop: Deadline
}

/** Options of {@link ClusterLeases}. */
export interface ClusterLeasesOptions {
  readonly deadlines: DeadlineQueue
  /** How many milliseconds before its end a lease that was not renewed is given up. */
  readonly graceMs: number
  readonly now: () => MonotonicMs
  readonly onAcquired: (lease: HeldLease) => void
  /** Whatever runs under the lease must end within `leftMs` milliseconds. */
  readonly onLost: (lease: HeldLease, leftMs: number, reason: string) => void
}

/**
 * The leases of a node by its own clock. Each ends a grace period before any other node may acquire it, whether or not
 * the source can be reached (N-514).
 */
export class ClusterLeases {
  readonly #options: ClusterLeasesOptions
  readonly #held = new Map<LeaseSubject, Held>()

  constructor(options: ClusterLeasesOptions) {
    this.#options = options
  }

  /**
   * The fence to run under; `undefined` once the grace period has begun, even if the deadline timer has not fired yet.
   */
  fenceOf(subject: LeaseSubject): number | undefined {
    const held = this.#held.get(subject)
    const { graceMs, now } = this.#options
    return held !== undefined && now() < held.validUntil - graceMs ? held.fence : undefined
  }

  subjects(): readonly LeaseSubject[] {
    return [...this.#held.keys()]
  }

  /**
   * Replaces the leases with those that a heartbeat has renewed and acquired; all others are lost. An answer that
   * arrived too late changes nothing.
   */
  replace(leases: readonly HeldLease[], validUntil: MonotonicMs): void {
    const { graceMs, now, onAcquired, onLost } = this.#options
    const isTooLate = validUntil - graceMs <= now()
    const named = new Map(isTooLate ? [] : leases.map(({ subject, fence }) => [subject, fence]))
    for (const [subject, { fence, validUntil: until }] of this.#held) {
      if (named.get(subject) === fence) continue
      this.#drop(subject)
      const leftMs = Math.min(graceMs, Math.max(0, until - now()))
      onLost({ subject, fence }, leftMs, isTooLate ? 'the answer came too late' : 'its source no longer lists it')
    }
    for (const [subject, fence] of named) {
      const known = this.#held.get(subject)
      known?.stop[Symbol.dispose]()
      this.#held.set(subject, { fence, validUntil, stop: this.#stopAt(subject, validUntil) })
      if (known === undefined) onAcquired({ subject, fence })
    }
  }

  /** Gives up a lease under which nothing runs. */
  release(subject: LeaseSubject): void {
    this.#drop(subject)
  }

  /** Gives up all leases without calling `onLost`. */
  clear(): void {
    for (const subject of this.subjects()) this.#drop(subject)
  }

  #stopAt(subject: LeaseSubject, validUntil: MonotonicMs): Deadline {
    const { deadlines, graceMs, onLost } = this.#options
    return deadlines.at(validUntil - graceMs, () => {
      const held = this.#held.get(subject)
      if (held === undefined) return
      this.#drop(subject)
      onLost({ subject, fence: held.fence }, graceMs, 'it could not be renewed')
    })
  }

  #drop(subject: LeaseSubject): void {
    this.#held.get(subject)?.stop[Symbol.dispose]()
    this.#held.delete(subject)
  }
}
