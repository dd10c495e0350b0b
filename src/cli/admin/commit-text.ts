import type { AdminEvent } from '../../node/admin-event.js'
import { encodeAdminEvent } from '../../node/admin-event.js'
import type { BlastRadius } from '../../node/blast-radius.js'
import type { SignedAttempt } from '../../node/admin/commit-document.js'
import { count, duration, jsonLine } from '../text.js'

/** Describes a commit that is about to be signed or submitted, for people: shows everything that is signed. */
export function commitText(attempt: SignedAttempt, nowMs: number): string {
  const { issuedAtMs } = attempt.commit
  const ageMs = nowMs - issuedAtMs
  const age = duration(Math.abs(ageMs))
  const when = `issued ${new Date(issuedAtMs).toISOString()}, ${ageMs < 0 ? `in ${age}` : `${age} ago`}`
  if (attempt.type === 'signed_admin_commit') {
    const { event, signature } = attempt.commit
    return `${eventText(event)}\n${when}\nsigned by operator ${signature.operator}\n`
  }
  const { proposal, blastRadius, signatures } = attempt.commit
  const signers = signatures.map(({ operator }) => operator)
  const signed =
    signers.length === 0
      ? 'signed by nobody yet'
      : `signed by ${count(signers.length, 'operator')}: ${signers.join(', ')}`
  return `${eventText(proposal)}\n${when}\n${radiusText(blastRadius)}${signed}\n`
}

function eventText(event: AdminEvent): string {
  return jsonLine(encodeAdminEvent(event))
}

/** How many ids are listed; the file has all of them. */
const mostShown = 20

function radiusText(radius: BlastRadius): string {
  const lines = [
    idsLine('nodes', radius.affectedNodes),
    idsLine('chains', radius.affectedReplicas),
    idsLine(
      'daemons',
      radius.affectedDaemons.map(({ id, name }) => (name === '' ? id : `${id} ${jsonLine(name)}`)),
    ),
    ...(radius.estimatedDrainDelayMs === undefined ? [] : [`for ${duration(radius.estimatedDrainDelayMs)}`]),
    ...(radius.placementStabilityDeltaPercent === 0
      ? []
      : [`placements lose ${radius.placementStabilityDeltaPercent}% of their stability`]),
    ...radius.warnings.map((warning) => `warning: ${jsonLine(warning)}`),
  ]
  return lines.map((line) => `  ${line}\n`).join('')
}

function idsLine(what: string, ids: readonly string[]): string {
  if (ids.length === 0) return `touches no ${what}`
  const more = ids.length - mostShown
  return `touches ${what}: ${ids.slice(0, mostShown).join(', ')}${more > 0 ? `, and ${more} more` : ''}`
}
