import { InvalidInputError } from '../../base/errors.js'
import type { Seconds } from '../scalars.js'
import { checkBackoff, defaultBackoff, type Backoff } from './backoff.js'

/** How tasks are dispatched; every field has a default (spec mutation authority 7.1). */
export interface DispatchOptions {
  /** Attempts running at a time. Default 4. */
  readonly concurrency?: number
  /** How long a lease lives without a heartbeat, 3 to 86,400. Default 300. */
  readonly leaseSecs?: Seconds
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

/** The options with their defaults. */
export type ResolvedDispatchOptions = Required<DispatchOptions>

/** Fills in the defaults. Raises `invalid_input` naming the field. */
export function resolveDispatchOptions(options: DispatchOptions = {}): ResolvedDispatchOptions {
  const { concurrency = 4, leaseSecs = 300, backoff = defaultBackoff, owner = 'local', capabilities = [] } = options
  const { stragglerLimitMs = 300_000 } = options
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) refuse('concurrency', 'must be a whole number from 1')
  if (!Number.isSafeInteger(leaseSecs) || leaseSecs < 3 || leaseSecs > 86_400) {
    refuse('leaseSecs', 'must be a whole number from 3 to 86400')
  }
  if (owner === '') refuse('owner', 'must not be empty')
  if (!Number.isSafeInteger(stragglerLimitMs) || stragglerLimitMs < 0) {
    refuse('stragglerLimitMs', 'must be a whole number from 0')
  }
  checkBackoff(backoff)
  return { concurrency, leaseSecs, backoff, owner, stragglerLimitMs, capabilities }
}

function refuse(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'dispatch options', field, reason })
}
