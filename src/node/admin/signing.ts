import { decode } from '../../base/decode.js'
import { strictSchema } from '../../base/options.js'
import { adminEventSchema, type AdminEvent, type IceProposal } from '../admin-event.js'
import type { OperatorSignature, SignedAdminCommit, SignedIceCommit } from '../commit.js'
import { naturalSchema } from '../scalars.js'
import type { KeyPair } from './ed25519.js'
import { operatorIdOf } from './identity.js'
import { adminPayload, blastHashOf, icePayload } from './signing-payload.js'
import { simulate, type SimulationView } from './simulation.js'

const commitSchema = strictSchema({ event: adminEventSchema, issuedAtMs: naturalSchema })

/**
 * Signs an ordinary commit. Raises `invalid_input` for an event that no node would accept, and `admin.public_key_only`.
 */
export function signAdminCommit(key: KeyPair, event: AdminEvent, issuedAtMs: number): SignedAdminCommit {
  decode(commitSchema, { event, issuedAtMs }, 'admin commit')
  return { event, issuedAtMs, signature: signatureOf(key, adminPayload({ event, issuedAtMs })) }
}

/**
 * Simulates a proposal and returns it with its radius, unsigned. This is the only way to create a commit that breaks
 * the glass. Raises `invalid_input` for a proposal that no node would accept.
 */
export function proposeIceCommit(snapshot: SimulationView, proposal: IceProposal, issuedAtMs: number): SignedIceCommit {
  decode(commitSchema, { event: proposal, issuedAtMs }, 'admin commit')
  const blastRadius = simulate(snapshot, proposal)
  return { proposal, issuedAtMs, blastRadius, blastHash: blastHashOf(blastRadius), signatures: [] }
}

/**
 * Returns the commit with one more signature; an operator who signed already is not added twice. Raises
 * `admin.public_key_only`.
 */
export function signIceCommit(key: KeyPair, commit: SignedIceCommit): SignedIceCommit {
  const signature = signatureOf(key, icePayload(commit))
  const others = commit.signatures.filter(({ operator }) => operator !== signature.operator)
  return { ...commit, signatures: [...others, signature] }
}

function signatureOf(key: KeyPair, payload: Uint8Array): OperatorSignature {
  return { operator: operatorIdOf(key.publicKey), signature: key.sign(payload) }
}
