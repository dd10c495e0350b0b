import { InvalidInputError } from '../../base/errors.js'

/** How long a failed run waits before its next attempt (spec mutation authority 7.1, 7.4). */
export type Backoff =
  | { readonly type: 'fixed'; readonly delayMs: number; readonly jitter?: number }
  | { readonly type: 'exponential'; readonly baseMs: number; readonly maxMs: number; readonly jitter?: number }

/** Five seconds, always. */
export const defaultBackoff: Backoff = { type: 'fixed', delayMs: 5000 }

/** A number from 0 up to, not including, 1. Injected, so that a test can predict delays. */
export type Random = () => number

/** Beyond it a power of two is infinite, and nothing times infinity is not a number. */
const largestExponent = 1023

/** Raises `invalid_input` for a negative delay, a base beyond the maximum, or a jitter outside 0 to 1. */
export function checkBackoff(backoff: Backoff): void {
  const { jitter = 0 } = backoff
  if (!(jitter >= 0 && jitter <= 1)) refuse('jitter', 'must be from 0 to 1')
  if (backoff.type === 'fixed') {
    if (!(backoff.delayMs >= 0)) refuse('delayMs', 'must not be negative')
    return
  }
  if (!(backoff.baseMs >= 0)) refuse('baseMs', 'must not be negative')
  if (!(backoff.baseMs <= backoff.maxMs)) refuse('baseMs', `exceeds maxMs ${backoff.maxMs}`)
}

/**
 * The delay after attempt `attempt` (from 1) in whole milliseconds, at most `Number.MAX_SAFE_INTEGER`. Jitter takes away
 * up to its share at random, so that runs which failed together do not come back together.
 */
export function retryDelay(backoff: Backoff, attempt: number, random: Random): number {
  const wanted =
    backoff.type === 'fixed'
      ? backoff.delayMs
      : Math.min(backoff.baseMs * 2 ** Math.min(attempt - 1, largestExponent), backoff.maxMs)
  const full = Math.min(wanted, Number.MAX_SAFE_INTEGER)
  const spread = full * (backoff.jitter ?? 0) * random()
  return Math.round(full - spread)
}

function refuse(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'backoff', field, reason })
}
