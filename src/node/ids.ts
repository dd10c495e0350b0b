import * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import type { Brand } from '../base/ids.js'
import { textOf } from '../base/options.js'

/** Identifies a node: 16 lower-case hexadecimal digits, so that text order is numeric order. */
export type NodeId = Brand<string, 'NodeId'>

/** Identifies a replicated chain; 16 hexadecimal digits. */
export type ChainId = Brand<string, 'ChainId'>

/** Identifies a daemon, regardless of its name; 16 hexadecimal digits. */
export type DaemonId = Brand<string, 'DaemonId'>

/** Identifies a blob; 16 hexadecimal digits. */
export type BlobId = Brand<string, 'BlobId'>

/** Identifies a migration: the id of the daemon that moves. */
export type MigrationId = Brand<string, 'MigrationId'>

/** Identifies an operator, derived from the public key; 16 hexadecimal digits. */
export type OperatorId = Brand<string, 'OperatorId'>

/** Identifies one life of a node's loop, chosen at random; 16 hexadecimal digits. */
export type NodeEpochId = Brand<string, 'NodeEpochId'>

/** Short for {@link NodeEpochId}, where it cannot be confused with the epoch of a session. */
export type EpochId = NodeEpochId

/**
 * Numbers the actions of one epoch from 1, each number once; 0 means no action. A gap in the numbers is a dropped
 * action.
 */
export type ActionId = number

/** Digest of a canonical encoding (SHA-256): 64 hexadecimal digits. */
export type Digest = Brand<string, 'Digest'>

/** The digest that means "not simulated". */
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

/** Parses an id of this room: 16 lower-case hexadecimal digits. Raises `invalid_input` naming `what` otherwise. */
export function parseHexId<Id extends string>(text: string, what: string): Id {
  const lower: unknown = typeof text === 'string' ? text.toLowerCase() : text
  if (typeof lower === 'string' && idPattern.test(lower)) return lower as Id
  throw new InvalidInputError({ subject: what, field: '$', reason: `not 16 hexadecimal digits: ${textOf(text)}` })
}

/** Parses the id of a node. Raises `invalid_input`. */
export function parseNodeId(text: string): NodeId {
  return parseHexId<NodeId>(text, 'node id')
}

/** Parses the id of a chain. Raises `invalid_input`. */
export function parseChainId(text: string): ChainId {
  return parseHexId<ChainId>(text, 'chain id')
}

/** Parses the id of a daemon. Raises `invalid_input`. */
export function parseDaemonId(text: string): DaemonId {
  return parseHexId<DaemonId>(text, 'daemon id')
}
