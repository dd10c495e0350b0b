import { createHash } from 'node:crypto'
import { encodeAdminEvent } from '../admin-event.js'
import { encodeBlastRadius, type BlastRadius } from '../blast-radius.js'
import { canonicalBytes } from '../canonical.js'
import type { SignedAdminCommit, SignedIceCommit } from '../commit.js'
import type { Digest } from '../ids.js'

/**
 * What signatures and digests are made of, so that none of one surface ever holds on another (N-303): a name, a zero
 * byte, and the canonical bytes of a JSON object. A name has no zero byte in it, so no two of them can be confused.
 */
const domains = {
  admin: 'stateward.node.admin.v1',
  ice: 'stateward.node.ice.v1',
  radius: 'stateward.node.blast-radius.v1',
} as const

/** The bytes that an operator signs for an ordinary commit: `{event, issued_at_ms}`. */
export function adminPayload({ event, issuedAtMs }: Pick<SignedAdminCommit, 'event' | 'issuedAtMs'>): Uint8Array {
  return inDomain('admin', canonicalBytes({ event: encodeAdminEvent(event), issued_at_ms: issuedAtMs }))
}

/** The bytes that every operator of a bundle signs: `{blast_hash, issued_at_ms, proposal}`. */
export function icePayload({
  proposal,
  issuedAtMs,
  blastHash,
}: Pick<SignedIceCommit, 'proposal' | 'issuedAtMs' | 'blastHash'>): Uint8Array {
  const content = { blast_hash: blastHash, issued_at_ms: issuedAtMs, proposal: encodeAdminEvent(proposal) }
  return inDomain('ice', canonicalBytes(content))
}

/** Names a payload: SHA-256 of the signed bytes. Two commits with one digest are one commit, whoever has signed them. */
export function payloadDigest(payload: Uint8Array): Digest {
  return createHash('sha256').update(payload).digest('hex') as Digest
}

/** The digest of a radius, which the operators sign instead of the whole of it. */
export function blastHashOf(radius: BlastRadius): Digest {
  return payloadDigest(inDomain('radius', canonicalBytes(encodeBlastRadius(radius))))
}

function inDomain(domain: keyof typeof domains, content: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${domains[domain]}\0`), content])
}
