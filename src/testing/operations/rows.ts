import type {
  OperationId,
  OperationKind,
  OperationOutcome,
  OperationSource,
  OperationStatus,
  TurnId,
} from '../../../machines/operation-vocabulary.js'

/** The expected result of a call: accepted, or refused with this code and data. */
export type Verdict = { readonly refused?: undefined } | Refusal

/** A refusal: its code, and its data if these matter. */
export interface Refusal {
  readonly refused: string
  readonly data?: object
}

/** One operation in the oracle. */
export interface OracleOperation {
  readonly id: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly sourceLabel: string
  readonly source: OperationSource | undefined
  readonly parentId: OperationId | undefined
  readonly outlivesParent: boolean
  status: OperationStatus
  peerReady: boolean
  progressCount: number
  outcome: OperationOutcome | undefined
  sequence: number | undefined
  /** True once retention has evicted it; an active wait may keep it longer. */
  isEvicted: boolean
  /** True once the end of an operation above it is durable, if the process died before this one could be ended. */
  isOwedAnEnd: boolean
}

/** One row of the completion feed in the oracle. */
export interface OracleFeedRow {
  readonly seq: number
  readonly operationId: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly outcome: OperationOutcome
}

/** A watch and its expected state. */
export interface OracleWatch {
  readonly operationId: OperationId
  state: 'pending' | 'resolved' | 'abandoned' | 'closed'
  outcome: OperationOutcome | undefined
}

/** A wait and its expected state. */
export interface OracleWait {
  readonly turnId: TurnId
  readonly members: readonly OperationId[]
  readonly outcomes: Map<OperationId, OperationOutcome>
  state: 'pending' | 'satisfied' | 'acknowledged' | 'cancelled' | 'closed'
}

/** An operation that was live when its process died. */
export interface OracleLost {
  readonly id: OperationId
  readonly status: 'provisioning' | 'running'
  /** The recovered operation, if it has to be ended because of one above it. */
  readonly operation: OracleOperation
}

/** An operation that runs once there is room, and the expected state of its outcome. */
export interface OracleLineRun {
  readonly id: OperationId
  state: 'queued' | 'begun' | 'ended' | 'refused' | 'closed'
  outcome: OperationOutcome | undefined
  /** The reason why it never started. */
  refusal: Refusal | undefined
}

/** A wait for operations that may be queued. */
export interface OracleLineWait {
  readonly turnId: TurnId
  readonly members: readonly OperationId[]
  /** The operations that were queued when the wait was requested. */
  readonly inLine: readonly OracleLineRun[]
  /** The wait of the registry, once all members have started. */
  begun: OracleWait | undefined
  refusal: Refusal | undefined
  /** True if the session closed before the wait began. */
  isClosed: boolean
}

/** Limits on running and queued operations, and on retained ended ones. */
export interface OracleLimits {
  readonly maxConcurrent?: number
  readonly maxCompleted: number
  /** What happens to an operation for which there is no room. Default `refuse`. */
  readonly whenFull?: 'refuse' | 'queue'
  readonly maxQueued?: number
}
