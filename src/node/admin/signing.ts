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

/** An ordinary commit by the owner of a key. Raises `invalid_input` for what no node would read, and `admin.public_key_only`. */
export function signAdminCommit(key: KeyPair, event: AdminEvent, issuedAtMs: number): SignedAdminCommit {
  decode(commitSchema, { event, issuedAtMs }, 'admin commit')
  return { event, issuedAtMs, signature: signatureOf(key, adminPayload({ event, issuedAtMs })) }
}

/**
 * A proposal with what it would touch, which nobody has signed yet. There is no other way to a commit of the second tier.
 * Raises `invalid_input` for what no node would read.
 */
export function proposeIceCommit(snapshot: SimulationView, proposal: IceProposal, issuedAtMs: number): SignedIceCommit {
  decode(commitSchema, { event: proposal, issuedAtMs }, 'admin commit')
  const blastRadius = simulate(snapshot, proposal)
  return { proposal, issuedAtMs, blastRadius, blastHash: blastHashOf(blastRadius), signatures: [] }
}

/** The same with the signature of one more operator; one who has signed already stays in once. Raises `admin.public_key_only`. */
export function signIceCommit(key: KeyPair, commit: SignedIceCommit): SignedIceCommit {
  const signature = signatureOf(key, icePayload(commit))
  const others = commit.signatures.filter(({ operator }) => operator !== signature.operator)
  return { ...commit, signatures: [...others, signature] }
}

function signatureOf(key: KeyPair, payload: Uint8Array): OperatorSignature {
  return { operator: operatorIdOf(key.publicKey), signature: key.sign(payload) }
}
