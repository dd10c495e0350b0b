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

/** Identity of one continuous completion-ordering domain. */
export type EpochId = Brand<string, 'EpochId'>

/** Terminal records kept before the oldest is evicted (O-12). */
export const defaultMaxCompleted = 256

/** Rows the completion feed keeps: larger than the record retention, so that bursts survive (O-12). */
export function feedCapacity(maxCompleted: number): number {
  return Math.max(4 * maxCompleted, 1024)
}

/** One row of the completion feed. */
export interface CompletionEntry extends Sequenced {
  /** Place in the completion order of the epoch, from 1; sparse where a kind is not shown. */
  readonly seq: number
  readonly operationId: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly outcome: OperationOutcome
  /** Epoch milliseconds. */
  readonly completedAtMs: number | null
}

/** What one operation looks like from outside (O-8). */
export interface OperationSnapshot {
  readonly id: OperationId
  readonly kind: OperationKind
  readonly displayName: string
  readonly ownerSessionId: SessionId
  readonly sourceLabel: string
  readonly expectPeerChannel: boolean
  readonly operationSource?: OperationSource
  /** Derived from the source, never from the registration payload. */
  readonly childSessionId: SessionId | null
  /** The operation that it is a part of. */
  readonly parentId?: OperationId
  /** What it was started with, if it was told. */
  readonly input?: unknown
  readonly status: OperationStatus
  readonly terminal: boolean
  readonly publicResultClass: PublicResultClass
  readonly outcome: OperationOutcome | null
  readonly peerReady: boolean
  readonly peerHandle?: OperationPeerHandle
  /** Progress reports so far; saturates at 2^32 - 1. */
  readonly progressCount: number
  /** Watches still pending. */
  readonly watcherCount: number
  /** Epoch milliseconds. */
  readonly createdAtMs: number
  readonly startedAtMs?: number
  readonly completedAtMs?: number
  /** Milliseconds from registration to the end, monotonic. */
  readonly elapsedMs?: number
}

/** One member of a satisfied wait. */
export interface WaitedOutcome {
  readonly operationId: OperationId
  readonly outcome: OperationOutcome
}

/** What a wait-all resolves with: outcomes in request order, and the obligation for the turn. */
export interface WaitAllResult {
  readonly outcomes: readonly WaitedOutcome[]
  readonly satisfied: WaitAllSatisfied
}

/** Where each consumer of the completion feed stands. */
export type CompletionCursors = Readonly<Record<CursorConsumer, number>>

/** A wait that is not satisfied yet. */
export interface PendingWait {
  readonly requestId: WaitRequestId
  readonly turnId: TurnId
  readonly operationIds: readonly OperationId[]
}

/** The state of a registry for people who look into it. */
export interface RegistryDiagnostics {
  /** All tracked operations, ended ones included. */
  readonly operationCount: number
  readonly activeCount: number
  /** The wait that began first. */
  readonly pendingWait: PendingWait | null
  /** What turns wait for, oldest first. */
  readonly pendingWaits: readonly PendingWait[]
  readonly cursors: CompletionCursors
  readonly watermark: number
  readonly operations: readonly OperationSnapshot[]
}

/** A report of progress; only the count is kept. */
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
  /** When it began to run, unless it had not; epoch milliseconds. */
  readonly startedAtMs?: number
  readonly parentId?: OperationId
  /** What it was started with, if it was told. */
  readonly input?: unknown
}

/** Facts of one operation as they are persisted (O-108). */
export interface PersistedOperation {
  readonly status: OperationStatus | 'absent'
  readonly kind: OperationKind
  /** `null` says there is none. */
  readonly source: OperationSource | null
  readonly peerReady: boolean
  readonly progressCount: number
  readonly outcome: OperationOutcome | null
  readonly completionSequence?: number
}

/** A feed row as the core knows it. */
export interface PersistedCompletion {
  readonly seq: number
  readonly kind: OperationKind
  readonly outcome: OperationOutcome
}

/** What retention has already dropped from the feed. */
export interface FeedRetention {
  readonly droppedThrough: number
  readonly droppedCount: number
}
