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

/** The circumstances by which an operator's attempt is judged. */
export interface AdmissionCircumstances extends IceVerificationCircumstances {
  /** Without a verifier nothing is verified: events are folded, and their audit record says `unverified`. */
  readonly verifier?: AdminVerifier
  /**
   * Set when the cluster has accepted and judged the attempt before, to its digest; it is then refused as `replayed`.
   */
  readonly knownAs?: Digest
  /** Whether the cluster was frozen at the last tick. */
  readonly isFrozen: boolean
  /** How many forced evictions and placements are pending, and the maximum. */
  readonly forcedEntries: { readonly count: number; readonly capacity: number }
}

/** The audit record of one attempt; the loop adds the number, the time and `chainPending`. */
export type AdmissionAudit = Pick<AdminAuditRecord, 'event' | 'operatorIds' | 'outcome'>

/** The result of judging an attempt. Every attempt has exactly one audit record. */
export interface Admission {
  /** The event to fold; absent when the attempt was refused. */
  readonly event?: AdminEvent
  readonly audit: AdmissionAudit
  /** What to remember, durably and together with the folded event; absent without a verifier. */
  readonly accepted?: AcceptedCommit
}

/**
 * Judges an operator's attempt, whichever way it arrived (N-330). The checks, in this order: does a freeze allow it,
 * did it come in the form that it requires, do its signatures hold, and is there room for it. The first check that
 * fails gives the kind of the rejection. Changes nothing; the caller folds, audits and remembers the result.
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

/** The claimed operators without duplicates, at most as many as a bundle may have. */
function claimedOperators(attempt: OperatorEvent, verifier: AdminVerifier | undefined): readonly OperatorId[] {
  if (attempt.type === 'admin_event') return []
  if (attempt.type === 'signed_admin_commit') return [attempt.commit.signature.operator]
  const claimed = new Set(attempt.commit.signatures.map(({ operator }) => operator))
  return [...claimed].slice(0, verifier?.bundleCap ?? mostAudited)
}

/** The maximum number of operators in an audit record when there is no verifier to set one. */
const mostAudited = 64

/** Events that break the glass are allowed in a freeze; all others are refused, whoever sends them. */
function whyFrozen(event: AdminEvent, { isFrozen }: AdmissionCircumstances): Rejection | undefined {
  if (!isFrozen || isIce(event)) return undefined
  return rejection('freeze_in_effect', { event: event.type })
}

/** With a verifier, only signed events are accepted, and those that break the glass only as a bundle. */
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
