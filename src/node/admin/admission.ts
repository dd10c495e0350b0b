import { isIce, type AdminEvent } from '../admin-event.js'
import type { OperatorEvent } from '../event.js'
import type { Digest, OperatorId } from '../ids.js'
import type { AdminAuditRecord } from '../records.js'
import type { AcceptedCommit } from './admin-memory.js'
import {
  rejection,
  type AdminVerifier,
  type IceVerificationCircumstances,
  type Rejection,
  type Verification,
} from './verifier.js'

/** What an attempt of an operator is judged by. */
export interface AdmissionCircumstances extends IceVerificationCircumstances {
  /** Without one nothing is verified: what comes is folded, and its record says `unverified`. */
  readonly verifier?: AdminVerifier
  /** It was taken and judged before, as somebody else who shares it knows; its digest. */
  readonly knownAs?: Digest
  /** Whether the cluster is frozen at the last tick. */
  readonly isFrozen: boolean
  /** How many forced evictions and placements wait to be acted on, and how many may. */
  readonly forcedEntries: { readonly count: number; readonly capacity: number }
}

/** One attempt as its record in the audit ring says it; the loop adds the number, the time and whether the chain has it. */
export type AdmissionAudit = Pick<AdminAuditRecord, 'event' | 'operatorIds' | 'outcome'>

/** What follows from an attempt. Every attempt has exactly one audit record. */
export interface Admission {
  /** What to fold; absent when the attempt was refused. */
  readonly event?: AdminEvent
  readonly audit: AdmissionAudit
  /** What to remember, durably and together with what is folded; absent where there was no verifier. */
  readonly accepted?: AcceptedCommit
}

/**
 * Judges one attempt of an operator, whichever way it came (N-330): first whether a freeze lets it pass, then whether its way is
 * one for what it asks, then its signatures, and last whether there is room for it. The first that says no gives the kind of
 * the refusal. Changes nothing: the caller folds, audits and remembers, or none of it happened.
 */
export function admitCommit(attempt: OperatorEvent, circumstances: AdmissionCircumstances): Admission {
  const event = eventOf(attempt)
  const operatorIds = claimedOperators(attempt, circumstances.verifier)
  const verdict =
    whyFrozen(event, circumstances) ?? whyWrongWay(attempt, circumstances) ?? verify(attempt, circumstances)
  const refusal =
    verdict?.status === 'rejected' ? verdict : (whyKnown(circumstances) ?? whyCrowded(event, circumstances))
  if (refusal !== undefined) return { audit: { event, operatorIds, outcome: refusal } }
  if (verdict?.status !== 'accepted') return { event, audit: { event, operatorIds, outcome: { status: 'unverified' } } }
  const { accepted } = verdict
  return { event, audit: { event, operatorIds, outcome: { status: 'accepted' } }, accepted }
}

function eventOf(attempt: OperatorEvent): AdminEvent {
  switch (attempt.type) {
    case 'admin_event':
      return attempt.event
    case 'signed_admin_commit':
      return attempt.commit.event
    case 'signed_ice_commit':
      return attempt.commit.proposal
  }
}

/** Each of them once, as claimed, and no more than a bundle may have. */
function claimedOperators(attempt: OperatorEvent, verifier: AdminVerifier | undefined): readonly OperatorId[] {
  if (attempt.type === 'admin_event') return []
  if (attempt.type === 'signed_admin_commit') return [attempt.commit.signature.operator]
  const claimed = new Set(attempt.commit.signatures.map(({ operator }) => operator))
  return [...claimed].slice(0, verifier?.bundleCap ?? mostAudited)
}

/** How many operators a record names where no verifier says how many there may be. */
const mostAudited = 64

/** What breaks the glass passes; for the rest it does not matter who asks. */
function whyFrozen(event: AdminEvent, { isFrozen }: AdmissionCircumstances): Rejection | undefined {
  if (!isFrozen || isIce(event)) return undefined
  return rejection('freeze_in_effect', { event: event.type })
}

/** With a verifier only what is signed is taken, and what breaks the glass only as a bundle. */
function whyWrongWay(attempt: OperatorEvent, { verifier }: AdmissionCircumstances): Rejection | undefined {
  if (verifier === undefined) return undefined
  const { type: event } = eventOf(attempt)
  if (attempt.type === 'admin_event') return rejection('unsigned', { event })
  const isAlone = attempt.type === 'signed_admin_commit' && isIce(attempt.commit.event)
  return isAlone ? rejection('ice_requires_bundle', { event }) : undefined
}

function verify(attempt: OperatorEvent, circumstances: AdmissionCircumstances): Verification | undefined {
  const { verifier } = circumstances
  if (verifier === undefined || attempt.type === 'admin_event') return undefined
  return attempt.type === 'signed_admin_commit'
    ? verifier.verifyAdmin(attempt.commit, circumstances)
    : verifier.verifyIce(attempt.commit, circumstances)
}

function whyKnown({ knownAs }: AdmissionCircumstances): Rejection | undefined {
  return knownAs && rejection('replayed', { digest: knownAs })
}

function whyCrowded({ type }: AdminEvent, { forcedEntries }: AdmissionCircumstances): Rejection | undefined {
  const isForced = type === 'force_evict_replica' || type === 'force_cutover'
  const { count, capacity } = forcedEntries
  return isForced && count >= capacity ? rejection('queue_full', { capacity }) : undefined
}
