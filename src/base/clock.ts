/** Handle of a pending timeout; only meaningful to the clock that issued it. */
export type TimeoutHandle = unknown

/**
 * The one source of time. It is also handed to the actor system, so that machines, deadlines and
 * timestamps agree and a test can move all of them at once.
 */
export interface Clock {
  /** Wall-clock time in epoch milliseconds; may step backwards. */
  wallNow(): number
  /** Milliseconds since an arbitrary origin; never decreases. */
  monotonicNow(): number
  /** Calls `callback` once after `delay` milliseconds. */
  setTimeout(callback: () => void, delay: number): TimeoutHandle
  /** Forgets a pending timeout; a handle that already fired is ignored. */
  clearTimeout(handle: TimeoutHandle): void
}

/** The clock of the process. */
export const systemClock: Clock = {
  wallNow: () => Date.now(),
  monotonicNow: () => performance.now(),
  setTimeout: (callback, delay) => setTimeout(callback, delay),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
}

/**
 * A wall-clock reading frozen together with a monotonic one (O-10): later instants are
 * the anchor plus the monotonic distance, so they never run backwards when the wall clock is set back.
 */
export interface ClockAnchor {
  /** Epoch milliseconds at the anchor. */
  readonly wall: number
  /** Monotonic milliseconds at the anchor. */
  readonly monotonic: number
}

/** Takes an anchor now. */
export function anchorNow(clock: Clock): ClockAnchor {
  return { wall: Math.trunc(clock.wallNow()), monotonic: clock.monotonicNow() }
}

/** Whole milliseconds since the anchor, never negative. */
export function elapsedSince(anchor: ClockAnchor, clock: Clock): number {
  return Math.max(0, Math.trunc(clock.monotonicNow() - anchor.monotonic))
}
