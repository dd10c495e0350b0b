/** A clock for the agent service that ends its sleeping jobs on demand: docs/testing.md. */
// #region shown
import { systemClock, type Clock } from 'stateward'

/** The system clock, except that long timeouts end when they are woken. */
export class HeldJobs implements Clock {
  readonly #held = new Map<number, () => void>()

  /** Ends the timeout of this many milliseconds. */
  wake(ms: number): void {
    this.#held.get(ms)?.()
    this.#held.delete(ms)
  }

  wallNow(): number {
    return systemClock.wallNow()
  }

  monotonicNow(): number {
    return systemClock.monotonicNow()
  }

  setTimeout(callback: () => void, ms: number): unknown {
    if (ms < 1_000_000) return systemClock.setTimeout(callback, ms)
    this.#held.set(ms, callback)
    return ms
  }

  clearTimeout(handle: unknown): void {
    if (typeof handle === 'number') this.#held.delete(handle)
    else systemClock.clearTimeout(handle)
  }
}
// #endregion
