import * as v from 'valibot'
import { InvalidInputError } from '../../base/errors.js'
import { numberSchema, optionsSchema } from '../../base/options.js'

/** How long a failed run waits before its next attempt (spec mutation authority 7.1, 7.4). */
export type Backoff =
  | { readonly type: 'fixed'; readonly delayMs: number; readonly jitter?: number }
  | { readonly type: 'exponential'; readonly baseMs: number; readonly maxMs: number; readonly jitter?: number }

const delaySchema = numberSchema(0, Number.MAX_VALUE)
const jitterSchema = v.optional(numberSchema(0, 1))

/** Accepts the shape of a {@link Backoff}; that its parts fit together is for {@link checkBackoff} to say. */
export const backoffSchema: v.GenericSchema<unknown, Backoff> = v.lazy((input) => {
  switch ((input as { readonly type?: unknown } | null)?.type) {
    case 'fixed':
      return fixedSchema
    case 'exponential':
      return exponentialSchema
    default:
      return typeSchema
  }
})

/** Refuses whatever has another type, naming it. */
const typeSchema = v.pipe(
  v.object({ type: v.picklist(['fixed', 'exponential']) }, 'missing'),
  v.transform((): Backoff => defaultBackoff),
)

const fixedSchema = optionsSchema<Extract<Backoff, { type: 'fixed' }>>({
  type: v.picklist(['fixed']),
  delayMs: delaySchema,
  jitter: jitterSchema,
})

const exponentialSchema = optionsSchema<Extract<Backoff, { type: 'exponential' }>>({
  type: v.picklist(['exponential']),
  baseMs: delaySchema,
  maxMs: delaySchema,
  jitter: jitterSchema,
})

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
