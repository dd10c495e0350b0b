/** The handle of a pending timeout. Only the clock that issued it can read it. */
export type TimeoutHandle = unknown

/**
 * The only source of time. The actor system uses it too, so that machines, deadlines and timestamps agree and a test
 * can advance all of them at once.
 */
export interface Clock {
  /** Wall-clock time in epoch milliseconds. May step backwards. */
  wallNow(): number
  /** Milliseconds since an arbitrary origin. Never decreases. */
  monotonicNow(): number
  /** Calls `callback` once after `delay` milliseconds. */
  setTimeout(callback: () => void, delay: number): TimeoutHandle
  /** Cancels a pending timeout. A handle that has fired already is ignored. */
  clearTimeout(handle: TimeoutHandle): void
}

/** The clock of the Node process. */
export const systemClock: Clock = {
  wallNow: () => Date.now(),
  monotonicNow: () => performance.now(),
  setTimeout: (callback, delay) => setTimeout(callback, delay),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
}

/**
 * A wall-clock reading paired with a monotonic one (O-10). Later instants are the anchor plus the monotonic distance,
 * so they never go backwards when the wall clock is set back.
 */
export interface ClockAnchor {
  /** Epoch milliseconds at the anchor. */
  readonly wall: number
  /** Monotonic milliseconds at the anchor. */
  readonly monotonic: number
}

/** Reads both clocks now. */
export function anchorNow(clock: Clock): ClockAnchor {
  return { wall: Math.trunc(clock.wallNow()), monotonic: clock.monotonicNow() }
}

/** Whole milliseconds since the anchor, never negative. */
export function elapsedSince(anchor: ClockAnchor, clock: Clock): number {
  return Math.max(0, Math.trunc(clock.monotonicNow() - anchor.monotonic))
}
