import { createHash } from 'node:crypto'
import { encodeAdminEvent } from '../admin-event.js'
import { encodeBlastRadius, type BlastRadius } from '../blast-radius.js'
import { canonicalBytes } from '../canonical.js'
import type { SignedAdminCommit, SignedIceCommit } from '../commit.js'
import type { Digest } from '../ids.js'

/**
 * The domain prefixes of signatures and digests, so that none made for one purpose is valid for another (N-303): a
 * name, a zero byte, and the canonical bytes of a JSON object. No name contains a zero byte, so that no two of them can
 * be confused.
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

/** The bytes that every signer of a bundle signs: `{blast_hash, issued_at_ms, proposal}`. */
export function icePayload({
  proposal,
  issuedAtMs,
  blastHash,
}: Pick<SignedIceCommit, 'proposal' | 'issuedAtMs' | 'blastHash'>): Uint8Array {
  const content = { blast_hash: blastHash, issued_at_ms: issuedAtMs, proposal: encodeAdminEvent(proposal) }
  return inDomain('ice', canonicalBytes(content))
}

/**
 * The digest of a payload: SHA-256 of the signed bytes. Two commits with the same digest are the same commit, whoever
 * signed them.
 */
export function payloadDigest(payload: Uint8Array): Digest {
  return createHash('sha256').update(payload).digest('hex') as Digest
}

/** The digest of a radius; the operators sign it in place of the whole radius. */
export function blastHashOf(radius: BlastRadius): Digest {
  return payloadDigest(inDomain('radius', canonicalBytes(encodeBlastRadius(radius))))
}

function inDomain(domain: keyof typeof domains, content: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${domains[domain]}\0`), content])
}
