import { expectsPeer, isTerminal, type OperationSpec, type OperationStatus } from '../../machines/index.js'
import type { OperationContext } from '../../machines/operation.js'
import { publicResultOf, type OperationProgress, type OperationSnapshot } from '../operations/index.js'
import { childSessionOf } from '../operations/operation-row.js'
import type { StoredOperation } from '../operations/operation.js'
import { decodeValue } from '../work/values.js'
import type { Execution } from './claim.js'

/** The work of an operation that a definition executes, and its run on the engine. */
export interface HeldWork {
  readonly name: string
  readonly invocationId: string
  /** The delayed message that ends it when its deadline has passed. */
  readonly deadline?: { readonly invocationId: string; readonly deadlineMs: number }
}

/**
 * One operation as stored in the session object: the row of the operations room, with what the engine needs in
 * addition.
 */
export interface HeldOperation extends Omit<StoredOperation, 'isOwed'> {
  /** Epoch milliseconds by the clock of the worker that wrote it, like all times here. */
  readonly createdAtMs: number
  readonly completedAtMs?: number
  readonly progress?: OperationProgress
  /** Absent if the operation is driven by its host. */
  readonly work?: HeldWork
  readonly execution: Execution
}

/** The public state of one operation of a session. */
export interface RestateOperation extends Omit<OperationSnapshot, 'watcherCount' | 'peerHandle'> {
  /** The latest progress report. */
  readonly progress?: OperationProgress
  /** That of the current or last attempt. 0 before the first. */
  readonly fencingToken: number
  /** How often its work was started. */
  readonly attempt: number
  /** The name of the definition that it runs. */
  readonly work?: string
}

/** The row of a new operation. */
export function newOperation(spec: OperationSpec, createdAtMs: number, execution: Execution): HeldOperation {
  return { spec, status: 'provisioning', peerReady: false, progressCount: 0, outcome: null, createdAtMs, execution }
}

/** The state of the row in the chart of operations. */
export function placeOf({ spec, status, peerReady, progressCount, outcome }: HeldOperation): {
  readonly value: OperationStatus
  readonly context: OperationContext
} {
  const { id, kind, displayName } = spec
  return { value: status, context: { id, kind, displayName, peerReady, progressCount, outcome: outcome ?? undefined } }
}

/** The public state of a row. */
export function pictureOf(row: HeldOperation): RestateOperation {
  const { spec, status, peerReady, progressCount, outcome, createdAtMs, startedAtMs, completedAtMs } = row
  const { progress, work, execution } = row
  const { id, kind, displayName, sourceLabel, ownerSessionId, operationSource, parentId, input } = spec
  return {
    id,
    kind,
    displayName,
    ownerSessionId,
    sourceLabel,
    expectPeerChannel: expectsPeer(kind),
    ...(operationSource !== undefined && { operationSource }),
    childSessionId: childSessionOf(operationSource),
    ...(parentId !== undefined && { parentId }),
    ...(input !== undefined && { input: decodeValue(input) }),
    status,
    terminal: isTerminal(status),
    publicResultClass: publicResultOf[status],
    outcome,
    peerReady,
    progressCount,
    createdAtMs,
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(completedAtMs !== undefined && { completedAtMs, elapsedMs: Math.max(0, completedAtMs - createdAtMs) }),
    ...(progress !== undefined && { progress }),
    fencingToken: execution.fencingToken,
    attempt: execution.place.context.start?.attempt ?? 0,
    ...(work !== undefined && { work: work.name }),
  }
}
