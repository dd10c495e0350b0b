import type {
  OperationId,
  OperationKind,
  OperationOutcome,
  OperationSource,
  OperationStatus,
  TurnId,
} from '../../../machines/operation-vocabulary.js'

/** What the oracle expects of one call: that it is taken, or refused with this code and data. */
export type Verdict = { readonly refused?: undefined } | Refusal

/** A refusal: its code, and its data where these matter. */
export interface Refusal {
  readonly refused: string
  readonly data?: object
}

/** One operation as the oracle keeps it. */
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
  /** True once retention has evicted it; an active wait may keep it a while longer. */
  isEvicted: boolean
  /** True once the end of one above it is durable, which its own process has not lived to follow. */
  isOwedAnEnd: boolean
}

/** One row of the completion feed as the oracle keeps it. */
export interface OracleFeedRow {
  readonly seq: number
  readonly operationId: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly outcome: OperationOutcome
}

/** A watch and how it should stand. */
export interface OracleWatch {
  readonly operationId: OperationId
  state: 'pending' | 'resolved' | 'abandoned' | 'closed'
  outcome: OperationOutcome | undefined
}

/** A wait-all and how it should stand. */
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
  /** As it comes back when an end is owed to it. */
  readonly operation: OracleOperation
}

/** An operation that runs once there is room, and how its outcome should stand. */
export interface OracleLineRun {
  readonly id: OperationId
  state: 'queued' | 'begun' | 'ended' | 'refused' | 'closed'
  outcome: OperationOutcome | undefined
  /** Why it never began. */
  refusal: Refusal | undefined
}

/** A wait for what may be in line. */
export interface OracleLineWait {
  readonly turnId: TurnId
  readonly members: readonly OperationId[]
  /** Those that were in line when it was asked for. */
  readonly inLine: readonly OracleLineRun[]
  /** The wait of the registry, once all have begun. */
  begun: OracleWait | undefined
  refusal: Refusal | undefined
  /** The session was over before it began. */
  isClosed: boolean
}

/** How many operations may run and wait in line, and how many ended ones are kept. */
export interface OracleLimits {
  readonly maxConcurrent?: number
  readonly maxCompleted: number
  /** What becomes of one that is run and does not fit now. Default `refuse`. */
  readonly whenFull?: 'refuse' | 'queue'
  readonly maxQueued?: number
}
