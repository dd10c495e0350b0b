import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { durationSchema, nameSchema, numberSchema, optionsSchema, wholeNumberSchema } from '../../base/options.js'

/** How long a failed run waits before its next attempt (T-78). */
export type Backoff =
  | { readonly type: 'fixed'; readonly delayMs: number; readonly jitter?: number }
  | { readonly type: 'exponential'; readonly baseMs: number; readonly maxMs: number; readonly jitter?: number }

const delaySchema = numberSchema(0, Number.MAX_VALUE)
const jitterSchema = v.optional(numberSchema(0, 1))

/** Accepts a {@link Backoff}: no negative delay, no base above the maximum, and jitter from 0 to 1. */
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

/** Refuses any other type, naming it. */
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

/** Always five seconds. */
export const defaultBackoff: Backoff = { type: 'fixed', delayMs: 5000 }

/** Returns a number from 0 up to, not including, 1. Injected, so that a test can predict delays. */
export type Random = () => number

/** A larger power of two is infinite, and zero times infinity is NaN. */
const largestExponent = 1023

/**
 * The delay after attempt `attempt` (from 1) in whole milliseconds, at most `Number.MAX_SAFE_INTEGER`. Jitter subtracts
 * a random part, at most its share, so that runs which failed together do not all come back at once.
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

/** How tasks are dispatched; every field has a default (T-170). */
export interface DispatchOptions {
  /** How many attempts run at a time. Default 4. */
  readonly concurrency?: number
  /** Milliseconds that a lease lasts without a heartbeat, 3,000 to 86,400,000. Default 300,000. */
  readonly leaseMs?: number
  /** Default: always five seconds. */
  readonly backoff?: Backoff
  /** Owner name of the leases. Default `local`. */
  readonly owner?: string
  /**
   * Milliseconds for which the concurrency key of a run stays taken while a handler that ignores its signal keeps
   * running after its attempt has ended. After that, the key is freed, and a log line says so. Default 300,000.
   */
  readonly stragglerLimitMs?: number
  /**
   * Milliseconds that a handler has to return after it was told to stop, before its attempt ends without it. Default
   * 250.
   */
  readonly cooperationMs?: number
  /** Capabilities of this process; tasks that require others are left to other workers. */
  readonly capabilities?: readonly string[]
}

/** The fields of {@link DispatchOptions}, for the options of a runtime. */
export const dispatchFields = {
  concurrency: v.optional(wholeNumberSchema(1)),
  leaseMs: v.optional(wholeNumberSchema(3000, 86_400_000)),
  backoff: v.optional(backoffSchema),
  owner: v.optional(nameSchema),
  stragglerLimitMs: v.optional(durationSchema),
  cooperationMs: v.optional(durationSchema),
  capabilities: v.optional(v.array(nameSchema, 'not a list')),
} as const

/** Accepts {@link DispatchOptions} from a caller. */
const dispatchOptionsSchema = optionsSchema<DispatchOptions>(dispatchFields)

/** The options with their defaults. */
export type ResolvedDispatchOptions = Required<DispatchOptions>

/** Fills in the defaults. Raises `invalid_input` naming the field. */
export function resolveDispatchOptions(options: DispatchOptions = {}): ResolvedDispatchOptions {
  const decoded = decode(dispatchOptionsSchema, options, 'dispatch options')
  const { concurrency = 4, leaseMs = 300_000, backoff = defaultBackoff, owner = 'local', capabilities = [] } = decoded
  const { stragglerLimitMs = 300_000, cooperationMs = 250 } = decoded
  return { concurrency, leaseMs, backoff, owner, stragglerLimitMs, cooperationMs, capabilities }
}
