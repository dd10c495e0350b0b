import type { Clock } from '../base/clock.js'

/** The first and the longest pause between two attempts, in milliseconds. */
const firstPauseMs = 10
const longestPauseMs = 1000

/**
 * The pause after an attempt, counted from 1, in milliseconds: it doubles from 10 ms to 1 s, with a jitter from half
 * to the whole, so that conflicting transactions separate.
 */
export function pauseAfter(attempt: number, random: () => number): number {
  const full = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1))
  return full * (0.5 + random() / 2)
}

/** Resolves after this many milliseconds of the clock. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimeout(resolve, ms)
  })
}
