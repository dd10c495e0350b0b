import { StatewardError } from '../base/errors.js'
import type { LeaseOwner, ProcessLease } from './lease.js'
import type { ProcessId } from './scalars.js'
import type { ProcessStore } from './store.js'

/** A lease that was acquired, and the holder before it when that one is dead for certain. */
export interface Claim {
  readonly lease: ProcessLease
  readonly deadHolder: ProcessLease | undefined
}

/** Claims a process, past a holder that is dead for certain; `undefined` while somebody else may be at work. */
export async function claim(
  store: ProcessStore,
  processId: ProcessId,
  owner: LeaseOwner,
  ttlMs: number,
): Promise<Claim | undefined> {
  // Read before: an expired lease is simply replaced, and nobody could tell any more whose it was.
  const observed = await store.getLease(processId)
  const deadHolder = observed !== undefined && store.isHolderDead(observed, owner) ? observed : undefined
  const claimed = await store.claimLease(processId, owner, ttlMs)
  if (claimed.outcome === 'acquired') return { lease: claimed.lease, deadHolder }
  if (deadHolder === undefined) return undefined
  const reclaimed = await store.reclaimLease(processId, owner, deadHolder, ttlMs)
  return reclaimed.outcome === 'acquired' ? { lease: reclaimed.lease, deadHolder } : undefined
}

/** True for the refusal of a write whose lease somebody else has taken over. */
export function isSuperseded(error: unknown): boolean {
  return StatewardError.is(error, 'process.lease_superseded')
}
