import { faultFields } from '../base/error-details.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import type { Logger } from '../base/logger.js'

/** A lease that its holder works under. */
export interface KeptLease {
  /** Names the lease in the log, for instance its run. */
  readonly id: string
  /** Called once when the lease was lost; whoever works under it stops. */
  readonly onLost: () => void
}

/** How leases are renewed. */
export interface LeaseKeeperOptions<Lease extends KeptLease> {
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Milliseconds between two renewals of a lease; well below its length. */
  readonly intervalMs: number
  /**
   * Renews the leases in as few changes as it likes and answers with those that were lost. What it rejects with says
   * nothing about the leases: they are kept and renewed again after the interval.
   */
  readonly renew: (leases: readonly Lease[]) => Promise<readonly Lease[]>
}

/**
 * Proves again and again that work goes on under its leases, and stops work that has lost one.
 *
 * Leases are renewed together: however many are held, there is one timer, and one change per interval.
 */
export class LeaseKeeper<Lease extends KeptLease> implements Disposable {
  readonly #options: LeaseKeeperOptions<Lease>
  readonly #leases = new Set<Lease>()
  #next: Deadline | undefined
  #isDisposed = false

  constructor(options: LeaseKeeperOptions<Lease>) {
    this.#options = options
  }

  /** How many leases are kept. */
  get size(): number {
    return this.#leases.size
  }

  /** Keeps a lease that was just acquired until the handle is disposed. */
  keep(lease: Lease): Disposable {
    this.#leases.add(lease)
    this.#arm()
    return { [Symbol.dispose]: () => this.#forget(lease) }
  }

  /** Renews nothing any more and leaves no timer behind; leases run out unless they are released. */
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
      logger.warn({ leases: leases.length, ...faultFields(failure) }, 'leases were not renewed, trying again')
    }
    this.#next = undefined
    this.#arm()
    for (const lease of lost) {
      // Given up meanwhile by its own holder.
      if (!this.#leases.has(lease)) continue
      this.#forget(lease)
      lease.onLost()
    }
  }
}
