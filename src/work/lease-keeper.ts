import { faultFields } from '../base/error-details.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import type { Logger } from '../base/logger.js'

/** A lease that its holder works under. */
export interface KeptLease {
  /** Names the lease in the log, for instance by its run. */
  readonly id: string
  /** Called once if the lease is lost. The holder must stop working. */
  readonly onLost: () => void
}

/** Options of a {@link LeaseKeeper}. */
export interface LeaseKeeperOptions<Lease extends KeptLease> {
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Milliseconds between two renewals of a lease; well below its duration. */
  readonly intervalMs: number
  /**
   * Renews the leases, in one change or several, and resolves with those that were lost. A rejection says nothing
   * about the leases: they are kept and renewed again after the interval.
   */
  readonly renew: (leases: readonly Lease[]) => Promise<readonly Lease[]>
}

/**
 * Renews leases at intervals while work continues under them, and stops work whose lease is lost.
 *
 * Leases are renewed together: there is one timer and one change per interval, however many are held.
 */
export class LeaseKeeper<Lease extends KeptLease> implements Disposable {
  readonly #options: LeaseKeeperOptions<Lease>
  readonly #leases = new Set<Lease>()
  #next: Deadline | undefined
  #isDisposed = false

  constructor(options: LeaseKeeperOptions<Lease>) {
    this.#options = options
  }

  /** Number of leases held. */
  get size(): number {
    return this.#leases.size
  }

  /** Keeps a newly acquired lease until the handle is disposed. */
  keep(lease: Lease): Disposable {
    this.#leases.add(lease)
    this.#arm()
    return { [Symbol.dispose]: () => this.#forget(lease) }
  }

  /** Stops renewing and clears the timer. Leases expire unless they are released. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#leases.clear()
    this.#disarm()
  }

  #forget(lease: Lease): void {
    this.#leases.delete(lease)
    if (this.#leases.size === 0) this.#disarm()
  }

  #arm(): void {
    if (this.#next !== undefined || this.#isDisposed || this.#leases.size === 0) return
    this.#next = this.#options.deadlines.after(this.#options.intervalMs, () => {
      this.#renew().catch((fault: unknown) =>
        this.#options.logger.error({ ...faultFields(fault) }, 'work under a lost lease could not be stopped'),
      )
    })
  }

  #disarm(): void {
    this.#next?.[Symbol.dispose]()
    this.#next = undefined
  }

  async #renew(): Promise<void> {
    const { renew, logger } = this.#options
    const leases = [...this.#leases]
    let lost: readonly Lease[] = []
    try {
      lost = await renew(leases)
    } catch (failure) {
      logger.warn({ leases: leases.length, ...faultFields(failure) }, 'leases could not be renewed, retrying')
    }
    this.#next = undefined
    this.#arm()
    for (const lease of lost) {
      // Its holder has given it up meanwhile.
      if (!this.#leases.has(lease)) continue
      this.#forget(lease)
      lease.onLost()
    }
  }
}
