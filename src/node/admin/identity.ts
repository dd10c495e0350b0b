import { createHash } from 'node:crypto'
import type { NodeId, OperatorId } from '../ids.js'
import type { PublicKeyText } from './ed25519.js'

/** How many hex digits an id has: eight bytes. */
const idDigits = 16

/**
 * The id of the operator who has this key: the first 8 bytes of SHA-256 over `stateward.operator-id.v1`, a zero byte and
 * the 32 bytes of the public key, as 16 lower-case hex digits (N-302). It names whom to look up; what a signature is
 * verified with is the whole key.
 */
export function operatorIdOf(publicKey: PublicKeyText): OperatorId {
  return idOf<OperatorId>('stateward.operator-id.v1', publicKey)
}

/** The id of the node that has this key, derived likewise under `stateward.node-id.v1`: the same key makes another id. */
export function nodeIdOf(publicKey: PublicKeyText): NodeId {
  return idOf<NodeId>('stateward.node-id.v1', publicKey)
}

function idOf<Id extends string>(domain: string, publicKey: PublicKeyText): Id {
  const hash = createHash('sha256').update(`${domain}\0`).update(Buffer.from(publicKey, 'hex'))
  return hash.digest('hex').slice(0, idDigits) as Id
}
