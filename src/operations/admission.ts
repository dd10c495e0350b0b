import { readable } from '../base/decode.js'
import { InvalidInputError, isList } from '../base/errors.js'
import { deepFreeze } from '../base/freeze.js'
import { isUuid } from '../base/ids.js'
import type { JsonValue } from '../base/json.js'
import { checkFields, textOf } from '../base/options.js'
import {
  expectsPeer,
  operationKinds,
  type OperationId,
  type OperationPeerHandle,
  type OperationSource,
  type OperationSpec,
  type PeerAddress,
} from '../../machines/operation-vocabulary.js'
import { decodeValue, encodeValue } from '../work/values.js'
import { childSessionOf } from './operation-row.js'
import { isPlainName, sourceProblem } from './source.js'
import type { OperationProgress } from './types.js'

/** Maximum length of a display name or label, in UTF-16 units. */
export const longestLabel = 1024

/** Maximum length of an operation's input as JSON, in UTF-16 units. */
export const longestInput = 1_048_576

const specFields: ReadonlySet<string> = new Set<keyof OperationSpec>([
  'id',
  'kind',
  'ownerSessionId',
  'displayName',
  'sourceLabel',
  'operationSource',
  'childSessionId',
  'expectPeerChannel',
  'parentId',
  'outlivesParent',
  'input',
])
const peerFields: ReadonlySet<string> = new Set<keyof OperationPeerHandle>(['peerName', 'trustedPeer'])
const trustedPeerFields: ReadonlySet<string> = new Set<keyof OperationPeerHandle['trustedPeer']>([
  'peerId',
  'name',
  'address',
  'pubkey',
])
const progressFields: ReadonlySet<string> = new Set<keyof OperationProgress>(['message', 'fraction'])

/**
 * Returns the spec as the registry keeps it: checked, copied and frozen, with its child session taken from the source.
 * The source itself is checked by {@link checkSource}. Raises `invalid_input` naming the field (O-46, O-13).
 */
export function checkSpec(spec: OperationSpec): OperationSpec {
  return readable('operation spec', readSpec, spec)
}

function readSpec(spec: OperationSpec): OperationSpec {
  checkFields('operation spec', spec, specFields)
  const { id, kind, ownerSessionId, displayName, sourceLabel, operationSource, expectPeerChannel } = spec
  const { parentId, outlivesParent, input } = spec
  if (!isUuid(id)) refuse('id', `not a lower-case UUID: ${textOf(id)}`)
  if (!operationKinds.includes(kind)) refuse('kind', `not one of ${operationKinds.join(', ')}: ${textOf(kind)}`)
  if (operationSource !== undefined) checkIsObject('operationSource', operationSource)
  if (!isPlainName(ownerSessionId)) refuse('ownerSessionId', 'not a plain name')
  checkLabel('displayName', displayName)
  checkLabel('sourceLabel', sourceLabel)
  const peer = expectsPeer(kind)
  if (expectPeerChannel !== peer) {
    refuse('expectPeerChannel', `contradicts the kind ${kind}, which ${peer ? 'expects a' : 'has no'} peer channel`)
  }
  if (parentId !== undefined && (!isUuid(parentId) || parentId === id)) {
    refuse('parentId', `not the id of another operation: ${textOf(parentId)}`)
  }
  if (outlivesParent !== undefined && ((outlivesParent as unknown) !== true || parentId === undefined)) {
    refuse('outlivesParent', 'not true beside a parent')
  }
  // Optional fields are set afterwards: spread into the literal, they would cost even where they are absent.
  const copy: { -readonly [Field in keyof OperationSpec]: OperationSpec[Field] } = {
    id,
    kind,
    ownerSessionId,
    displayName,
    sourceLabel,
    childSessionId: childSessionOf(operationSource),
    expectPeerChannel,
  }
  if (operationSource !== undefined) copy.operationSource = copyOfSource(operationSource)
  if (parentId !== undefined) copy.parentId = parentId
  if (outlivesParent !== undefined) copy.outlivesParent = outlivesParent
  if (input !== undefined) copy.input = checkInput(input)
  return Object.freeze(copy)
}

/**
 * Copies the input. Refuses what JSON would change, and what is too long, because the input is stored in one record
 * with the registration.
 */
function checkInput(input: JsonValue): JsonValue {
  const copy = encodeValue(decodeValue(input), 'operation spec', 'input') as JsonValue
  const { length } = JSON.stringify(copy)
  if (length > longestInput) refuse('input', `${length} characters as JSON, more than ${longestInput}`)
  return deepFreeze(copy)
}

/** Raises `invalid_input` unless the source has one of the exact shapes of O-3. */
export function checkSource({ operationSource }: OperationSpec): void {
  const problem = operationSource === undefined ? undefined : sourceProblem(operationSource)
  if (problem !== undefined) refuse(`operationSource.${problem.field}`, problem.reason)
}

/** Returns a checked, frozen copy of a peer handle (O-7, O-13). Raises `invalid_input` naming the field. */
export function checkPeer(handle: OperationPeerHandle): OperationPeerHandle {
  return readable('peer handle', readPeer, handle)
}

function readPeer(handle: OperationPeerHandle): OperationPeerHandle {
  checkFields('peer handle', handle, peerFields)
  const { peerName, trustedPeer } = handle
  checkFields('peer handle trustedPeer', trustedPeer, trustedPeerFields)
  const { peerId, name, address, pubkey } = trustedPeer
  if (!isPlainName(peerName)) refuse('peerName', 'not a plain name', 'peer handle')
  if (!isPlainName(name)) refuse('trustedPeer.name', 'not a plain name', 'peer handle')
  const problem = sourceProblem({ kind: 'backend_peer', peerId, address })
  if (problem !== undefined) refuse(`trustedPeer.${problem.field}`, problem.reason, 'peer handle')
  if (!(pubkey instanceof Uint8Array) || pubkey.length !== 32)
    refuse('trustedPeer.pubkey', 'not 32 bytes', 'peer handle')
  const trusted = { peerId, name, address: copyOfAddress(address), pubkey: pubkey.slice() }
  return Object.freeze({ peerName, trustedPeer: Object.freeze(trusted) })
}

/**
 * Checks the limit of a registry or of one admission. Raises `invalid_input` unless it is absent or a whole number from
 * 0.
 */
export function checkLimit(field: string, limit: number | undefined): void {
  if (limit === undefined || (Number.isSafeInteger(limit) && limit >= 0)) return
  refuse(field, `not a whole number from 0: ${textOf(limit)}`, 'registry limits')
}

/** Raises `invalid_input` unless the id is a string. Does not check whether the operation exists. */
export function checkId(id: OperationId): void {
  if (typeof id !== 'string') refuse('$', `not text: ${textOf(id)}`, 'operation id')
}

/** Raises `invalid_input` unless the value is a list of ids. */
export function checkIds(ids: readonly OperationId[], subject = 'operation ids'): void {
  if (!isList(ids)) refuse('$', `not a list: ${textOf(ids)}`, subject)
  for (const [place, id] of ids.entries()) {
    if (typeof id !== 'string') refuse(String(place), `not text: ${textOf(id)}`, subject)
  }
}

/** Returns a checked, frozen copy of a progress report. Raises `invalid_input` naming the field. */
export function checkProgress(progress: OperationProgress): OperationProgress {
  return readable('operation progress', readProgress, progress)
}

function readProgress(progress: OperationProgress): OperationProgress {
  checkFields('operation progress', progress, progressFields)
  const { message, fraction } = progress
  if (typeof message !== 'string') refuse('message', `not text: ${textOf(message)}`, 'operation progress')
  if (fraction !== undefined && !isFraction(fraction)) {
    refuse('fraction', `not a fraction from 0 to 1: ${textOf(fraction)}`, 'operation progress')
  }
  return Object.freeze(fraction === undefined ? { message } : { message, fraction })
}

/** Whether the value is a number from 0 to 1. */
export function isFraction(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= 1
}

function copyOfSource(source: OperationSource): OperationSource {
  const address = source.kind === 'backend_peer' ? (source.address as PeerAddress | undefined) : undefined
  return Object.freeze({ ...source, ...(address !== undefined && { address: copyOfAddress(address) }) })
}

function copyOfAddress(address: PeerAddress): PeerAddress {
  return Object.freeze({ ...address })
}

function checkIsObject(field: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) refuse(field, `not an object: ${textOf(value)}`)
}

function checkLabel(field: string, label: unknown): void {
  if (typeof label !== 'string') refuse(field, `not a string: ${textOf(label)}`)
  else if (label.length > longestLabel) refuse(field, `longer than ${longestLabel} characters`)
}

function refuse(field: string, reason: string, subject = 'operation spec'): never {
  throw new InvalidInputError({ subject, field, reason })
}
