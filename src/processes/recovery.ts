import type { LeaseOwner, ProcessLease } from './lease.js'
import type { AbandonEvidence } from './output.js'
import type { ProcessRecord } from './record.js'

/** What a worker does with a process that nobody is working on. */
export type Recovery =
  /** Leave it alone: it is not even claimed. */
  | { readonly action: 'leave' }
  /** Release the lease and do nothing. */
  | { readonly action: 'release' }
  | { readonly action: 'run' }
  /** It was started before: recover what is still running. The evidence is used if it is lost. */
  | { readonly action: 'recover'; readonly evidence: AbandonEvidence }
  | { readonly action: 'abandon'; readonly evidence: AbandonEvidence }

/** What is known in addition to the record. */
export interface RecoveryFacts {
  readonly nowMs: number
  /** The previous holder, if it is known to be dead. */
  readonly deadHolder: ProcessLease | undefined
  /** Whether this worker can recover the process although another owner started it. */
  readonly isRecoverable: boolean
}

/** Whether claiming a process makes sense. Externally owned ones are claimed only to be abandoned. */
export function isClaimable({ disposition, abandonRequest, status }: ProcessRecord): boolean {
  return status === 'running' && (disposition !== 'externally_owned' || abandonRequest !== undefined)
}

/**
 * Decides what to do with a claimed process, depending on its disposition (P-170). Pass the record as read under the
 * lease: an older one may not show yet that the process was started.
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
      // Elapsed time alone never justifies ending it: its owner may still be working.
      const isLost = abandonRequest !== undefined || deadHolder !== undefined
      return isLost ? { action: 'abandon', evidence } : { action: 'release' }
    }
  }
}
