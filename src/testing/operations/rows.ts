import type {
  OperationId,
  OperationKind,
  OperationOutcome,
  OperationSource,
  OperationStatus,
  TurnId,
} from '../../../machines/operation-vocabulary.js'

/** What the oracle expects of one call: that it is taken, or refused with this code and data. */
export type Verdict = { readonly refused?: undefined } | { readonly refused: string; readonly data?: object }

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
}

/** How many operations may run and how many ended ones are kept. */
export interface OracleLimits {
  readonly maxConcurrent?: number
  readonly maxCompleted: number
}
