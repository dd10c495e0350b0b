import { createHash } from 'node:crypto'
import type { NodeId, OperatorId } from '../ids.js'
import type { PublicKeyText } from './ed25519.js'

/** The length of an id in hex digits: eight bytes. */
const idDigits = 16

/**
 * The id of the operator who owns this key: the first 8 bytes of SHA-256 over `stateward.operator-id.v1`, a zero byte
 * and the 32 bytes of the public key, as 16 lower-case hex digits (N-302). The id is only for looking the operator up;
 * signatures are verified with the whole key.
 */
export function operatorIdOf(publicKey: PublicKeyText): OperatorId {
  return idOf<OperatorId>('stateward.operator-id.v1', publicKey)
}

/**
 * The id of the node that owns this key, derived in the same way under `stateward.node-id.v1`, so that it differs from
 * the operator id of the same key.
 */
export function nodeIdOf(publicKey: PublicKeyText): NodeId {
  return idOf<NodeId>('stateward.node-id.v1', publicKey)
}

function idOf<Id extends string>(domain: string, publicKey: PublicKeyText): Id {
  const hash = createHash('sha256').update(`${domain}\0`).update(Buffer.from(publicKey, 'hex'))
  return hash.digest('hex').slice(0, idDigits) as Id
}
