import type { LeaseOwner, ProcessLease } from './lease.js'
import type { AbandonEvidence } from './output.js'
import type { ProcessRecord } from './record.js'

/** What a worker does with a process that nobody works on. */
export type Recovery =
  /** Nothing, and it does not even claim it. */
  | { readonly action: 'leave' }
  /** Nothing: it gives the lease back. */
  | { readonly action: 'release' }
  | { readonly action: 'run' }
  | { readonly action: 'abandon'; readonly evidence: AbandonEvidence }

/** What is known beside the record. */
export interface RecoveryFacts {
  readonly nowMs: number
  /** The holder before, when it is dead for certain. */
  readonly deadHolder: ProcessLease | undefined
}

/** Whether a process is worth claiming at all: what is owned outside is claimed only to be given up. */
export function isClaimable({ disposition, abandonRequest, status }: ProcessRecord): boolean {
  return status === 'running' && (disposition !== 'externally_owned' || abandonRequest !== undefined)
}

/**
 * What may be done with a process that was claimed, by what its producer has declared (P-170). Asked of the record as it
 * stands under the lease: an older one may not know yet that somebody has started it.
 */
export function recoveryOf(record: ProcessRecord, { nowMs, deadHolder }: RecoveryFacts): Recovery {
  const { disposition, abandonRequest, firstStarted, status } = record
  if (status !== 'running') return { action: 'release' }
  const abandon = (writer: AbandonEvidence['writer'], owner?: LeaseOwner): Recovery => ({
    action: 'abandon',
    evidence: { writer, ...(owner !== undefined && { owner }), epochMs: nowMs },
  })
  switch (disposition) {
    case 'externally_owned':
      return abandonRequest === undefined ? { action: 'leave' } : abandon('reconciled_request')
    case 'rerunnable':
      return { action: 'run' }
    case 'owner_bound':
      if (firstStarted === undefined) return { action: 'run' }
      if (abandonRequest !== undefined) return abandon('reconciled_request', firstStarted.owner)
      // That much time has passed is never enough to end it: somebody may still be at work.
      return deadHolder === undefined ? { action: 'release' } : abandon('sweep', deadHolder.owner)
  }
}
