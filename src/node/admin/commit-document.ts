import * as v from 'valibot'
import { InvalidInputError, isList } from '../../base/errors.js'
import type { JsonObject } from '../../base/json.js'
import { strictSchema, textOf } from '../../base/options.js'
import { storedCodec } from '../../state/stored.js'
import { signedAdminCommitSchema, signedIceCommitSchema } from '../commit.js'
import type { OperatorEvent } from '../event.js'
import { adminPayload, icePayload } from './signing-payload.js'

/** A signed attempt, the only kind that is accepted from outside the process. */
export type SignedAttempt = Exclude<OperatorEvent, { readonly type: 'admin_event' }>

/** The maximum size of an encoded commit, in bytes. */
export const mostCommitBytes = 4 * 2 ** 20

const version = 1

type Document = SignedAttempt & { readonly version: typeof version }

const schema: v.GenericSchema<unknown, Document> = v.variant('type', [
  strictSchema({
    type: v.literal('signed_admin_commit'),
    version: v.literal(version),
    commit: signedAdminCommitSchema,
  }),
  strictSchema({
    type: v.literal('signed_ice_commit'),
    version: v.literal(version),
    commit: signedIceCommitSchema,
  }),
])

const subject = 'commit'
const codec = storedCodec(schema, { version, subject })

/** Encodes a signed attempt for a file or for a node: names in snake_case, with the version of the format. */
export function encodeCommit(attempt: SignedAttempt): JsonObject {
  return codec.encode({ ...attempt, version })
}

/** The bytes that the operators signed. They identify the commit, whoever the signers are. */
export function payloadOf(attempt: SignedAttempt): Uint8Array {
  return attempt.type === 'signed_admin_commit' ? adminPayload(attempt.commit) : icePayload(attempt.commit)
}

/**
 * Decodes a signed attempt without checking its signatures; a verifier does that. Raises `invalid_input` naming the
 * field.
 */
export function decodeCommit(document: unknown): SignedAttempt {
  if (typeof document !== 'object' || document === null || isList(document)) {
    throw new InvalidInputError({ subject, field: '$', reason: `not an object: ${textOf(document)}` })
  }
  const { version: _, ...attempt } = codec.decode(document as JsonObject)
  return attempt
}
