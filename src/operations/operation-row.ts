import { isUuid } from '../base/ids.js'
import type { ClockAnchor } from '../base/clock.js'
import type { operationMachine } from '../../machines/operation.js'
import type { ActorRow } from '../../machines/row-actors.js'
import type { EndStamp } from '../../machines/operation-registry.js'
import {
  isTerminal,
  liveStatuses,
  operationKinds,
  terminalStatuses,
  type OperationId,
  type OperationKind,
  type OperationOutcome,
  type OperationPeerHandle,
  type OperationSource,
  type OperationSpec,
  type OperationStatus,
  type SessionId,
} from '../../machines/operation-vocabulary.js'
import { decodeValue } from '../work/values.js'
import { publicResultOf } from './classification.js'
import { internalError } from './errors.js'
import { sourceProblem } from './source.js'
import type { OperationSnapshot } from './types.js'
import { countOf, type Watchers } from './watchers.js'

/**
 * One operation in the registry: its state in the chart, the actor that shows it, when it was registered here, and its
 * facts.
 */
export interface OperationRow extends ActorRow<typeof operationMachine>, ClockAnchor {
  readonly spec: OperationSpec
  readonly source: OperationSource | undefined
  startedAtMs: number | undefined
  stamp: EndStamp | undefined
  peer: OperationPeerHandle | undefined
  watchers: Watchers | undefined
}

/** The checked facts of one operation. */
export interface OperationFacts {
  readonly kind: OperationKind
  readonly status: OperationStatus
  readonly peerReady: boolean
  readonly progressCount: number
  readonly source: OperationSource | undefined
  readonly outcome: OperationOutcome | undefined
}

const kinds: ReadonlySet<unknown> = new Set(operationKinds)
const statuses: ReadonlySet<unknown> = new Set([...liveStatuses, ...terminalStatuses])
const progressCountLimit = 2 ** 32 - 1

/** Reads the status. Raises `internal` if there is none (O-134). */
export function readStatus(id: OperationId, row: OperationRow): OperationStatus {
  const status: unknown = row.value
  if (!statuses.has(status)) throw internalError(`missing status for operation ${id}`)
  return status as OperationStatus
}

/**
 * Reads the outcome and checks it against the status. Raises `internal` for any contradiction (O-138, O-139, O-140,
 * O-141).
 */
export function readOutcome(id: OperationId, row: OperationRow): OperationOutcome | undefined {
  const status = readStatus(id, row)
  const { outcome } = row.context
  if (!isTerminal(status)) {
    if (outcome !== undefined) throw internalError(`terminal outcome for non-terminal operation ${id}`)
    return undefined
  }
  if (outcome === undefined) throw internalError(`missing terminal outcome for operation ${id}`)
  if (!hasPayload(outcome)) throw internalError(`missing terminal payload for operation ${id}`)
  if (outcome.type !== status) {
    throw internalError(
      `payload variant ${outcome.type} of operation ${id} does not match terminal outcome discriminant ${status}`,
    )
  }
  return outcome
}

/** Reads every fact of a row in the order of O-147. Raises `internal` at the first that is missing or wrong. */
export function readFacts(id: OperationId, row: OperationRow): OperationFacts {
  if ((row.spec as OperationSpec | undefined) === undefined) {
    throw internalError(`operation ${id} has authority facts without shell projection record`)
  }
  const { kind, peerReady, progressCount } = row.context
  if (!kinds.has(kind)) throw internalError(`missing kind for operation ${id}`)
  const status = readStatus(id, row)
  if (typeof peerReady !== 'boolean') throw internalError(`missing peer-ready for operation ${id}`)
  if (typeof progressCount !== 'number') throw internalError(`missing progress count for operation ${id}`)
  const problem = row.source === undefined ? undefined : sourceProblem(row.source)
  if (problem !== undefined)
    throw internalError(`operation source authority has invalid source for ${id}: ${problem.reason}`)
  return { kind, status, peerReady, progressCount, source: row.source, outcome: readOutcome(id, row) }
}

/** Raises `internal` for a key that is not an operation id (O-142). */
export function checkKey(key: string): OperationId {
  if (!isUuid(key)) throw internalError(`invalid operation id key: ${JSON.stringify(key)}`)
  return key as OperationId
}

/** The public snapshot of one operation. Raises `internal` rather than leave anything out. */
export function snapshotOf(id: OperationId, row: OperationRow): OperationSnapshot {
  const { kind, status, peerReady, progressCount, source, outcome } = readFacts(id, row)
  const { spec, peer, startedAtMs, stamp } = row
  return {
    id,
    kind,
    displayName: spec.displayName,
    ownerSessionId: spec.ownerSessionId,
    sourceLabel: spec.sourceLabel,
    expectPeerChannel: spec.expectPeerChannel,
    ...(source !== undefined && { operationSource: source }),
    childSessionId: childSessionOf(source),
    ...(spec.parentId !== undefined && { parentId: spec.parentId }),
    ...(spec.input !== undefined && { input: decodeValue(spec.input) }),
    status,
    terminal: isTerminal(status),
    publicResultClass: publicResultOf[status],
    outcome: outcome ?? null,
    peerReady,
    ...(peer !== undefined && { peerHandle: copyOfPeer(peer) }),
    progressCount: Math.min(progressCount, progressCountLimit),
    watcherCount: countOf(row.watchers),
    createdAtMs: row.wall,
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(stamp?.completedAtMs !== undefined && { completedAtMs: stamp.completedAtMs }),
    ...(stamp?.elapsedMs !== undefined && { elapsedMs: stamp.elapsedMs }),
  }
}

/** Copies the handle, because its bytes cannot be frozen. */
function copyOfPeer({ peerName, trustedPeer }: OperationPeerHandle): OperationPeerHandle {
  return { peerName, trustedPeer: { ...trustedPeer, pubkey: trustedPeer.pubkey.slice() } }
}

/** The child session that a source names, or `null`. */
export function childSessionOf(source: OperationSource | undefined): SessionId | null {
  return source?.kind === 'session_child' ? source.sessionId : null
}

function hasPayload(outcome: OperationOutcome): boolean {
  switch (outcome.type) {
    case 'completed':
      return (outcome.result as unknown) !== undefined
    case 'failed':
      return (outcome.error as unknown) !== undefined
    case 'terminated':
      return (outcome.reason as unknown) !== undefined
    case 'aborted':
    case 'cancelled':
    case 'retired':
      return true
  }
}
