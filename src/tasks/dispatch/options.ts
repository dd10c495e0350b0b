import * as v from 'valibot'
import { decode } from '../../base/decode.js'
import { durationSchema, nameSchema, optionsSchema, wholeNumberSchema } from '../../base/options.js'
import { backoffSchema, defaultBackoff, type Backoff } from './backoff.js'

/** How tasks are dispatched; every field has a default (spec mutation authority 7.1). */
export interface DispatchOptions {
  /** Attempts running at a time. Default 4. */
  readonly concurrency?: number
  /** Milliseconds that a lease lives without a heartbeat, 3,000 to 86,400,000. Default 300,000. */
  readonly leaseMs?: number
  /** Default five seconds, fixed. */
  readonly backoff?: Backoff
  /** Name under which leases are held. Default `local`. */
  readonly owner?: string
  /**
   * Milliseconds for which the concurrency key of a run is kept from others while a handler that ignores its signal goes
   * on after its attempt has ended. Then it is left behind, which the log tells. Default 300,000.
   */
  readonly stragglerLimitMs?: number
  /** What this process can do; tasks that require more are left to others. */
  readonly capabilities?: readonly string[]
}

/** Accepts {@link DispatchOptions} as a caller states them. */
export const dispatchOptionsSchema = optionsSchema<DispatchOptions>({
  concurrency: v.optional(wholeNumberSchema(1)),
  leaseMs: v.optional(wholeNumberSchema(3000, 86_400_000)),
  backoff: v.optional(backoffSchema),
  owner: v.optional(nameSchema),
  stragglerLimitMs: v.optional(durationSchema),
  capabilities: v.optional(v.array(nameSchema, 'not a list')),
})

/** The options with their defaults. */
export type ResolvedDispatchOptions = Required<DispatchOptions>

/** Fills in the defaults. Raises `invalid_input` naming the field. */
export function resolveDispatchOptions(options: DispatchOptions = {}): ResolvedDispatchOptions {
  const decoded = decode(dispatchOptionsSchema, options, 'dispatch options')
  const { concurrency = 4, leaseMs = 300_000, backoff = defaultBackoff, owner = 'local', capabilities = [] } = decoded
  const { stragglerLimitMs = 300_000 } = decoded
  return { concurrency, leaseMs, backoff, owner, stragglerLimitMs, capabilities }
}
