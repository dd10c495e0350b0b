import { expectsPeer, isTerminal, type OperationSpec, type OperationStatus } from '../../machines/index.js'
import type { OperationContext } from '../../machines/operation.js'
import { publicResultOf, type OperationProgress, type OperationSnapshot } from '../operations/index.js'
import { childSessionOf } from '../operations/operation-row.js'
import type { StoredOperation } from '../operations/operation.js'
import { decodeValue } from '../work/values.js'
import type { Execution } from './claim.js'

/** The work of an operation that has code: which, and the run of it on the engine. */
export interface HeldWork {
  readonly name: string
  readonly invocationId: string
  /** The message that will end it once its deadline has passed. */
  readonly deadline?: { readonly invocationId: string; readonly deadlineMs: number }
}

/** One operation as the session object keeps it: the row of the operations room, and what the engine needs besides. */
export interface HeldOperation extends Omit<StoredOperation, 'isOwed'> {
  /** Epoch milliseconds by the clock of the worker that wrote it, like all times here. */
  readonly createdAtMs: number
  readonly completedAtMs?: number
  readonly progress?: OperationProgress
  /** Absent for one that its host drives. */
  readonly work?: HeldWork
  readonly execution: Execution
}

/** What is known of one operation of a session, for whoever asks. */
export interface RestateOperation extends Omit<OperationSnapshot, 'watcherCount' | 'peerHandle'> {
  /** The latest report. */
  readonly progress?: OperationProgress
  /** That of the attempt which works on it, or has; 0 before anything was done. */
  readonly fencingToken: number
  /** How often its work was begun. */
  readonly attempt: number
  /** The definition that it runs. */
  readonly work?: string
}

/** A row that was just asked for. */
export function newOperation(spec: OperationSpec, createdAtMs: number, execution: Execution): HeldOperation {
  return { spec, status: 'provisioning', peerReady: false, progressCount: 0, outcome: null, createdAtMs, execution }
}

/** Where the row stands in the chart of operations. */
export function placeOf({ spec, status, peerReady, progressCount, outcome }: HeldOperation): {
  readonly value: OperationStatus
  readonly context: OperationContext
} {
  const { id, kind, displayName } = spec
  return { value: status, context: { id, kind, displayName, peerReady, progressCount, outcome: outcome ?? undefined } }
}

/** The public picture of a row. */
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
