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
  /** It was started, and what runs of it is looked after; the evidence is for one that is lost. */
  | { readonly action: 'recover'; readonly evidence: AbandonEvidence }
  | { readonly action: 'abandon'; readonly evidence: AbandonEvidence }

/** What is known beside the record. */
export interface RecoveryFacts {
  readonly nowMs: number
  /** The holder before, when it is dead for certain. */
  readonly deadHolder: ProcessLease | undefined
  /** Somebody here can look after it although it was started by another owner. */
  readonly isRecoverable: boolean
}

/** Whether a process is worth claiming at all: what is owned outside is claimed only to be given up. */
export function isClaimable({ disposition, abandonRequest, status }: ProcessRecord): boolean {
  return status === 'running' && (disposition !== 'externally_owned' || abandonRequest !== undefined)
}

/**
 * What may be done with a process that was claimed, by what its producer has declared (P-170). Asked of the record as it
 * stands under the lease: an older one may not know yet that somebody has started it.
 */
export function recoveryOf(record: ProcessRecord, { nowMs, deadHolder, isRecoverable }: RecoveryFacts): Recovery {
  const { disposition, abandonRequest, firstStarted, status } = record
  if (status !== 'running') return { action: 'release' }
  const evidenceOf = (writer: AbandonEvidence['writer'], owner?: LeaseOwner): AbandonEvidence => ({
    writer,
    ...(owner !== undefined && { owner }),
    epochMs: nowMs,
  })
  switch (disposition) {
    case 'externally_owned':
      return abandonRequest === undefined
        ? { action: 'leave' }
        : { action: 'abandon', evidence: evidenceOf('reconciled_request') }
    case 'rerunnable':
      return { action: 'run' }
    case 'owner_bound': {
      if (firstStarted === undefined) return { action: 'run' }
      const evidence =
        abandonRequest === undefined
          ? evidenceOf('sweep', deadHolder?.owner ?? firstStarted.owner)
          : evidenceOf('reconciled_request', firstStarted.owner)
      if (isRecoverable) return { action: 'recover', evidence }
      // That much time has passed is never enough to end it: somebody may still be at work.
      const isLost = abandonRequest !== undefined || deadHolder !== undefined
      return isLost ? { action: 'abandon', evidence } : { action: 'release' }
    }
  }
}
