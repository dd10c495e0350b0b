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

/** Whether a daemon may be started, or in how many milliseconds. */
export type RestartState =
  | { readonly status: 'idle' }
  | { readonly status: 'backing_off' | 'crash_looping'; readonly remainingMs: number }

/** A daemon as readers see it. */
export interface DaemonView {
  readonly id: DaemonId
  readonly name: string
  readonly lifecycle: DaemonLifecycle
  readonly health?: DaemonHealth
  /** A fraction. */
  readonly saturation: number
  readonly restart: RestartState
  /** The last intent; absent if there was none. */
  readonly intent?: DaemonIntent
  /** The node it is pinned to. */
  readonly pinnedTo?: NodeId
  /** The node whose snapshot this is. */
  readonly placement: NodeId
  /** Milliseconds since it started, or since it ended if it is stopped; 0 if neither ever happened. */
  readonly ageMs: number
}

/** A chain as readers see it. */
export interface ReplicaView {
  readonly chain: ChainId
  /** Sorted. */
  readonly holders: readonly NodeId[]
  readonly desiredReplicas?: number
  readonly localIntent?: ReplicaIntent
  readonly leader?: NodeId
}

/** A node as this node knows it. */
export interface PeerView {
  readonly node: NodeId
  readonly rttMs?: number
  readonly health?: NodeHealth
  readonly maintenance?: MaintenanceStatus
  /** True while it accepts nothing new. */
  readonly isCordoned: boolean
  readonly inventory?: PeerInventory
}

/** A blob as readers see it. */
export interface BlobView {
  readonly blob: BlobId
  readonly sizeBytes: number
  /** In the order of their announcements. */
  readonly holders: readonly NodeId[]
}

/** A peer that is avoided for a while. */
export interface AvoidView {
  readonly peer: NodeId
  readonly reason: string
  readonly remainingMs: number
}

/** The maintenance state of this node. */
export interface MaintenanceView {
  readonly status: MaintenanceStatus
  /** Milliseconds since it entered the state; absent while active. */
  readonly sinceMs?: number
  /** Milliseconds left for a drain. */
  readonly deadlineRemainingMs?: number
  /** Why the drain failed. */
  readonly reason?: string
  /** True while a drain is under way that ends by itself. */
  readonly isDrain: boolean
}

/** An action that reconciliation has asked for lately, whether or not it was carried out. */
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
 * What a node knew at the end of a tick. Immutable; the next snapshot shares everything that has not changed. Times are
 * relative to the instant of the tick. Tables are sorted by key; rows are assembled when they are read.
 */
export interface NodeSnapshot {
  /** The epoch of the loop that published it. */
  readonly epoch: EpochId
  readonly node: NodeId
  /** The number of passes of reconciliation so far, including this one. */
  readonly pass: number
  readonly daemons: ReadonlyMap<DaemonId, DaemonView>
  readonly replicas: ReadonlyMap<ChainId, ReplicaView>
  readonly peers: ReadonlyMap<NodeId, PeerView>
  readonly blobs: ReadonlyMap<BlobId, BlobView>
  readonly avoidList: ReadonlyMap<NodeId, AvoidView>
  readonly localMaintenance: MaintenanceView
  /** Whether this node accepts nothing new. */
  readonly isCordoned: boolean
  /** Absent when the cluster is not frozen. */
  readonly freezeRemainingMs?: number
  /** The participants that a drain waits for, and whether each is idle. */
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
