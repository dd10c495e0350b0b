import { StatewardError } from '../base/errors.js'
import type { LeaseOwner, ProcessLease } from './lease.js'
import type { ProcessId } from './scalars.js'
import type { ProcessStore } from './store.js'

/** An acquired lease, and the previous holder if it is known to be dead. */
export interface Claim {
  readonly lease: ProcessLease
  readonly deadHolder: ProcessLease | undefined
}

/**
 * Claims a process, even from a holder that is known to be dead. `undefined` if another holder may still be working.
 */
export async function claim(
  store: ProcessStore,
  processId: ProcessId,
  owner: LeaseOwner,
  ttlMs: number,
): Promise<Claim | undefined> {
  // Read before claiming: an expired lease is simply replaced, and its previous holder would then be unknown.
  const observed = await store.getLease(processId)
  const deadHolder = observed !== undefined && store.isHolderDead(observed, owner) ? observed : undefined
  const claimed = await store.claimLease(processId, owner, ttlMs)
  if (claimed.outcome === 'acquired') return { lease: claimed.lease, deadHolder }
  if (deadHolder === undefined) return undefined
  const reclaimed = await store.reclaimLease(processId, owner, deadHolder, ttlMs)
  return reclaimed.outcome === 'acquired' ? { lease: reclaimed.lease, deadHolder } : undefined
}

/** True if a write was refused because another holder has taken over the lease. */
export function isSuperseded(error: unknown): boolean {
  return StatewardError.is(error, 'process.lease_superseded')
}
