import type { ActionKind } from './action.js'
import type { DaemonHealth } from './daemon.js'
import type { ActionId, BlobId, ChainId, DaemonId, EpochId, MigrationId, NodeId } from './ids.js'
import type { PeerInventory } from './inventory.js'
import type { AdminAuditRecord, FailureRecord, LogRecord } from './records.js'
import type {
  DaemonIntent,
  DaemonLifecycle,
  MaintenanceStatus,
  MigrationPhase,
  NodeHealth,
  ReplicaIntent,
} from './vocabulary.js'

/** Whether a daemon may be started, and in how many milliseconds if not yet. */
export type RestartState =
  | { readonly status: 'idle' }
  | { readonly status: 'backing_off' | 'crash_looping'; readonly remainingMs: number }

/** One daemon as readers see it. */
export interface DaemonView {
  readonly id: DaemonId
  readonly name: string
  readonly lifecycle: DaemonLifecycle
  readonly health?: DaemonHealth
  /** A fraction. */
  readonly saturation: number
  readonly restart: RestartState
  /** What was wished of it last; absent when nobody has wished anything. */
  readonly intent?: DaemonIntent
  /** The node it is pinned to. */
  readonly pinnedTo?: NodeId
  /** The node it is seen from. */
  readonly placement: NodeId
  /** Since it started, or while it is stopped since it ended; 0 when neither ever happened. */
  readonly ageMs: number
}

/** One chain as readers see it. */
export interface ReplicaView {
  readonly chain: ChainId
  /** In order. */
  readonly holders: readonly NodeId[]
  readonly desiredReplicas?: number
  readonly localIntent?: ReplicaIntent
  readonly leader?: NodeId
}

/** One node as this node knows it. */
export interface PeerView {
  readonly node: NodeId
  readonly rttMs?: number
  readonly health?: NodeHealth
  readonly maintenance?: MaintenanceStatus
  /** True while it takes nothing new. */
  readonly isCordoned: boolean
  readonly inventory?: PeerInventory
}

/** One blob as readers see it. */
export interface BlobView {
  readonly blob: BlobId
  readonly sizeBytes: number
  /** In the order in which they were announced. */
  readonly holders: readonly NodeId[]
}

/** A peer that is avoided for a while. */
export interface AvoidView {
  readonly peer: NodeId
  readonly reason: string
  readonly remainingMs: number
}

/** Where this node stands in its maintenance. */
export interface MaintenanceView {
  readonly status: MaintenanceStatus
  /** How long it has been so; absent while active. */
  readonly sinceMs?: number
  /** What is left of a drain. */
  readonly deadlineRemainingMs?: number
  /** Why the drain has failed. */
  readonly reason?: string
  /** True while a drain is under way that ends by itself. */
  readonly isDrain: boolean
}

/** An action that reconciliation has asked for lately. That it was carried out it does not say. */
export interface EmittedAction {
  readonly id: ActionId
  readonly kind: ActionKind
  readonly ageMs: number
}

/** A migration under way. */
export interface MigrationView {
  readonly migration: MigrationId
  readonly phase: MigrationPhase
  readonly elapsedMs: number
  readonly sourceNode: NodeId
  readonly targetNode: NodeId
  readonly ageInPhaseMs: number
  readonly snapshotBytes?: number
  readonly retries: number
  /** 0 to 100. */
  readonly progressPercent?: number
  readonly bufferedEvents: number
}

/**
 * What a node knew at the end of a tick. It never changes; the next one shares with it whatever has stayed. Times are relative
 * to the instant of the tick. Tables are in the order of their keys; a row is put together when it is read.
 */
export interface NodeSnapshot {
  /** The life of the loop that published it. */
  readonly epoch: EpochId
  readonly node: NodeId
  /** Passes of reconciliation before it, this one included. */
  readonly pass: number
  readonly daemons: ReadonlyMap<DaemonId, DaemonView>
  readonly replicas: ReadonlyMap<ChainId, ReplicaView>
  readonly peers: ReadonlyMap<NodeId, PeerView>
  readonly blobs: ReadonlyMap<BlobId, BlobView>
  readonly avoidList: ReadonlyMap<NodeId, AvoidView>
  readonly localMaintenance: MaintenanceView
  /** Whether this node takes nothing new. */
  readonly isCordoned: boolean
  /** Absent while nothing is frozen. */
  readonly freezeRemainingMs?: number
  /** The parts of the process that a drain waits for, and whether each is idle. */
  readonly participants: Readonly<Record<string, boolean>>
  readonly recentlyEmitted: readonly EmittedAction[]
  /** Oldest first. */
  readonly recentFailures: readonly FailureRecord[]
  /** Oldest first. */
  readonly adminAudit: readonly AdminAuditRecord[]
  /** Oldest first. */
  readonly logRing: readonly LogRecord[]
  readonly inFlightMigrations: readonly MigrationView[]
}
