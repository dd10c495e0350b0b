import * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import type { Brand } from '../base/ids.js'
import { textOf } from '../base/options.js'

/** Identifies a node: 16 lower-case hexadecimal digits, so that the order of texts is that of numbers. */
export type NodeId = Brand<string, 'NodeId'>

/** Identifies a replicated chain; 16 hexadecimal digits. */
export type ChainId = Brand<string, 'ChainId'>

/** Identifies a daemon, whatever its name; 16 hexadecimal digits. */
export type DaemonId = Brand<string, 'DaemonId'>

/** Identifies a blob; 16 hexadecimal digits. */
export type BlobId = Brand<string, 'BlobId'>

/** Identifies a migration: the id of the daemon that moves. */
export type MigrationId = Brand<string, 'MigrationId'>

/** Identifies an operator, derived from the public key; 16 hexadecimal digits. */
export type OperatorId = Brand<string, 'OperatorId'>

/** Identifies one life of a node loop, drawn at random; 16 hexadecimal digits. */
export type NodeEpochId = Brand<string, 'NodeEpochId'>

/** The same where nobody means the epoch of a session. */
export type EpochId = NodeEpochId

/** Numbers the actions of one epoch from 1, without a repeat; 0 is no action. A hole is an action that was dropped. */
export type ActionId = number

/** Digest of a canonical encoding (SHA-256): 64 hexadecimal digits. */
export type Digest = Brand<string, 'Digest'>

/** The digest that stands for nothing: what has not been simulated. */
export const noDigest = '0'.repeat(64) as Digest

const idPattern = /^[0-9a-f]{16}$/
const digestPattern = /^[0-9a-f]{64}$/
const signaturePattern = /^[0-9a-f]{128}$/

/** Accepts an id of 16 lower-case hexadecimal digits. */
export function idSchema<Id extends string>(): v.GenericSchema<unknown, Id> {
  return v.custom<Id>(
    (input) => typeof input === 'string' && idPattern.test(input),
    ({ input }) => `not 16 lower-case hexadecimal digits: ${textOf(input)}`,
  )
}

/** Accepts a digest. */
export const digestSchema = v.custom<Digest>(
  (input) => typeof input === 'string' && digestPattern.test(input),
  ({ input }) => `not 64 lower-case hexadecimal digits: ${textOf(input)}`,
)

/** Accepts an ed25519 signature of 64 bytes in hexadecimal digits. */
export const signatureSchema = v.custom<string>(
  (input) => typeof input === 'string' && signaturePattern.test(input),
  ({ input }) => `not 128 lower-case hexadecimal digits: ${textOf(input)}`,
)

export const nodeIdSchema = idSchema<NodeId>()
export const chainIdSchema = idSchema<ChainId>()
export const daemonIdSchema = idSchema<DaemonId>()
export const blobIdSchema = idSchema<BlobId>()
export const migrationIdSchema = idSchema<MigrationId>()
export const operatorIdSchema = idSchema<OperatorId>()
export const epochIdSchema = idSchema<EpochId>()

/** An id of this room in its one spelling: lower case. Raises `invalid_input` naming `what` otherwise. */
export function parseHexId<Id extends string>(text: string, what: string): Id {
  const lower: unknown = typeof text === 'string' ? text.toLowerCase() : text
  if (typeof lower === 'string' && idPattern.test(lower)) return lower as Id
  throw new InvalidInputError({ subject: what, field: '$', reason: `not 16 hexadecimal digits: ${textOf(text)}` })
}

/** A node from its text. Raises `invalid_input`. */
export function parseNodeId(text: string): NodeId {
  return parseHexId<NodeId>(text, 'node id')
}

/** A chain from its text. Raises `invalid_input`. */
export function parseChainId(text: string): ChainId {
  return parseHexId<ChainId>(text, 'chain id')
}

/** A daemon from its text. Raises `invalid_input`. */
export function parseDaemonId(text: string): DaemonId {
  return parseHexId<DaemonId>(text, 'daemon id')
}
