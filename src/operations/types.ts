import type { Sequenced } from '../base/feed.js'
import type {
  CursorConsumer,
  LiveStatus,
  OperationId,
  OperationKind,
  OperationOutcome,
  OperationPeerHandle,
  OperationSource,
  OperationStatus,
  TurnId,
  SessionId,
  WaitAllSatisfied,
  WaitRequestId,
} from '../../machines/operation-vocabulary.js'
import type { Brand } from '../base/ids.js'
import type { PublicResultClass } from './classification.js'

/** Identity of one continuous completion order. */
export type EpochId = Brand<string, 'EpochId'>

/** Default number of ended operations that are retained (O-12). */
export const defaultMaxCompleted = 256

/** Number of rows that the completion feed keeps: more than the retained operations, so that bursts survive (O-12). */
export function feedCapacity(maxCompleted: number): number {
  return Math.max(4 * maxCompleted, 1024)
}

/** One row of the completion feed. */
export interface CompletionEntry extends Sequenced {
  /** Position in the completion order of the epoch, from 1; there are gaps for kinds that the feed does not show. */
  readonly seq: number
  readonly operationId: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly outcome: OperationOutcome
  /** Epoch milliseconds. */
  readonly completedAtMs: number | null
}

/** The public state of one operation (O-8). */
export interface OperationSnapshot {
  readonly id: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly ownerSessionId: SessionId
  readonly sourceLabel: string
  readonly expectPeerChannel: boolean
  readonly operationSource?: OperationSource
  /** Taken from the source, never from the registration payload. */
  readonly childSessionId: SessionId | null
  /** The parent operation. */
  readonly parentId?: OperationId
  /** The input that it was started with, if any. */
  readonly input?: unknown
  readonly status: OperationStatus
  readonly terminal: boolean
  readonly publicResultClass: PublicResultClass
  readonly outcome: OperationOutcome | null
  readonly peerReady: boolean
  readonly peerHandle?: OperationPeerHandle
  /** Number of progress reports so far; stops counting at 2^32 - 1. */
  readonly progressCount: number
  /** Number of pending watches. */
  readonly watcherCount: number
  /** Epoch milliseconds. */
  readonly createdAtMs: number
  readonly startedAtMs?: number
  readonly completedAtMs?: number
  /** Milliseconds from registration to the end, by the monotonic clock. */
  readonly elapsedMs?: number
}

/** The outcome of one member of a wait. */
export interface WaitedOutcome {
  readonly operationId: OperationId
  readonly outcome: OperationOutcome
}

/** The result of a wait: outcomes in the order of the request, and the obligation of the turn. */
export interface WaitAllResult {
  readonly outcomes: readonly WaitedOutcome[]
  readonly satisfied: WaitAllSatisfied
}

/** The position of each consumer of the completion feed. */
export type CompletionCursors = Readonly<Record<CursorConsumer, number>>

/** A wait that is not satisfied yet. */
export interface PendingWait {
  readonly requestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
}

/** The state of a registry, for diagnosis. */
export interface RegistryDiagnostics {
  /** Number of tracked operations, including ended ones. */
  readonly operationCount: number
  readonly activeCount: number
  /** The oldest wait. */
  readonly pendingWait: PendingWait | null
  /** All waits, oldest first. */
  readonly pendingWaits: readonly PendingWait[]
  readonly cursors: CompletionCursors
  readonly watermark: number
  readonly operations: readonly OperationSnapshot[]
}

/** A progress report; the registry keeps only the count. */
export interface OperationProgress {
  readonly message: string
  /** From 0 to 1. */
  readonly fraction?: number
}

/** An operation that was live when the previous process ended; it has no outcome and never will. */
export interface LostOperation {
  readonly id: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly sourceLabel: string
  readonly status: Exclude<LiveStatus, 'retiring'>
  /** When it started to run, in epoch milliseconds; absent if it had not. */
  readonly startedAtMs?: number
  readonly parentId?: OperationId
  /** The input that it was started with, if any. */
  readonly input?: unknown
}

/** The facts of one operation as they are stored (O-108). */
export interface PersistedOperation {
  readonly status: OperationStatus | 'absent'
  readonly kind: OperationKind
  /** `null` if there is none. */
  readonly source: OperationSource | null
  readonly peerReady: boolean
  readonly progressCount: number
  readonly outcome: OperationOutcome | null
  readonly completionSequence?: number
}

/** The stored part of a feed row. */
export interface PersistedCompletion {
  readonly seq: number
  readonly kind: OperationKind
  readonly outcome: OperationOutcome
}

/** What retention has dropped from the feed. */
export interface FeedRetention {
  readonly droppedThrough: number
  readonly droppedCount: number
}
