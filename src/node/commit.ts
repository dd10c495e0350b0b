import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { adminEventSchema, iceProposalSchema, type AdminEvent, type IceProposal } from './admin-event.js'
import { blastRadiusSchema, type BlastRadius } from './blast-radius.js'
import { digestSchema, operatorIdSchema, signatureSchema, type Digest, type OperatorId } from './ids.js'
import { naturalSchema } from './scalars.js'

/** One operator's signature: 64 bytes as 128 hexadecimal digits. */
export interface OperatorSignature {
  readonly operator: OperatorId
  readonly signature: string
}

/** An admin event that one operator has signed. */
export interface SignedAdminCommit {
  readonly event: AdminEvent
  readonly signature: OperatorSignature
  /** Epoch milliseconds by the signer's clock. */
  readonly issuedAtMs: number
}

/** A proposal that several operators have signed, with the radius they have seen. */
export interface SignedIceCommit {
  readonly proposal: IceProposal
  readonly signatures: readonly OperatorSignature[]
  /** Epoch milliseconds; the same for all signers. */
  readonly issuedAtMs: number
  readonly blastRadius: BlastRadius
  /** Digest of the canonical bytes of the radius. */
  readonly blastHash: Digest
}

/** The maximum number of signatures that are decoded; the verifier sets the actual limit. */
const mostSignatures = 4096

const operatorSignatureSchema: v.GenericSchema<unknown, OperatorSignature> = strictSchema({
  operator: operatorIdSchema,
  signature: signatureSchema,
})

/** Accepts a {@link SignedAdminCommit}. Its signature is not checked; a verifier does that. */
export const signedAdminCommitSchema: v.GenericSchema<unknown, SignedAdminCommit> = strictSchema({
  event: adminEventSchema,
  signature: operatorSignatureSchema,
  issuedAtMs: naturalSchema,
})

/** Accepts a {@link SignedIceCommit}. Its signatures are not checked; a verifier does that. */
export const signedIceCommitSchema: v.GenericSchema<unknown, SignedIceCommit> = strictSchema({
  proposal: iceProposalSchema,
  signatures: v.pipe(v.array(operatorSignatureSchema), v.maxLength(mostSignatures)),
  issuedAtMs: naturalSchema,
  blastRadius: blastRadiusSchema,
  blastHash: digestSchema,
})
