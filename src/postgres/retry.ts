import type { Clock } from '../base/clock.js'

/** The first pause between two attempts and the longest, in milliseconds. */
const firstPauseMs = 10
const longestPauseMs = 1000

/**
 * How long to pause after an attempt, counted from 1: doubling from 10 milliseconds to a second, spread from a half to the
 * whole so that those who were in each other's way part.
 */
export function pauseAfter(attempt: number, random: () => number): number {
  const full = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempt - 1))
  return full * (0.5 + random() / 2)
}

/** Ends after so many milliseconds of the clock. */
export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimeout(resolve, ms)
  })
}
