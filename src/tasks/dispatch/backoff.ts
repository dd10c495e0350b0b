import * as v from 'valibot'
import { numberSchema, optionsSchema } from '../../base/options.js'

/** How long a failed run waits before its next attempt (spec mutation authority 7.1, 7.4). */
export type Backoff =
  | { readonly type: 'fixed'; readonly delayMs: number; readonly jitter?: number }
  | { readonly type: 'exponential'; readonly baseMs: number; readonly maxMs: number; readonly jitter?: number }

const delaySchema = numberSchema(0, Number.MAX_VALUE)
const jitterSchema = v.optional(numberSchema(0, 1))

/** Accepts a {@link Backoff}: no negative delay, no base beyond the maximum, no jitter outside 0 to 1. */
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

type Exponential = Extract<Backoff, { type: 'exponential' }>

const exponentialSchema = v.pipe(
  optionsSchema<Exponential>({
    type: v.picklist(['exponential']),
    baseMs: delaySchema,
    maxMs: delaySchema,
    jitter: jitterSchema,
  }),
  v.rawCheck<Exponential>(({ dataset, addIssue }) => {
    if (!dataset.typed || dataset.value.baseMs <= dataset.value.maxMs) return
    const { baseMs, maxMs } = dataset.value
    const item = { type: 'object', origin: 'value', input: { ...dataset.value }, key: 'baseMs', value: baseMs } as const
    addIssue({ message: `exceeds maxMs ${maxMs}: ${baseMs}`, path: [item] })
  }),
)

/** Five seconds, always. */
export const defaultBackoff: Backoff = { type: 'fixed', delayMs: 5000 }

/** A number from 0 up to, not including, 1. Injected, so that a test can predict delays. */
export type Random = () => number

/** Beyond it a power of two is infinite, and nothing times infinity is not a number. */
const largestExponent = 1023

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
