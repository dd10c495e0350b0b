import type { SignedAttempt } from './admin/index.js'
import type { DaemonRef } from './daemon.js'
import type { NodeError } from './errors.js'
import type { ChainId, DaemonId, Digest, EpochId, NodeId } from './ids.js'
import type { PlacementSource } from './node-dispatcher.js'
import type { DaemonIntent, MaintenanceStatus, ReplicaIntent } from './vocabulary.js'

/** One life of a member: its node, and the epoch of its loop. */
export interface MemberIdentity {
  readonly node: NodeId
  readonly epoch: EpochId
}

/** What a lease is for: the only copy of a daemon, or the lead of a chain. */
export type LeaseSubject = `daemon:${DaemonId}` | `chain:${ChainId}`

/** A lease as its holder sees it. */
export interface HeldLease {
  readonly subject: LeaseSubject
  /** Increases whenever the lease changes hands, even if it returns to a former holder. */
  readonly fence: number
}

/** What a member reports and requests with every heartbeat. */
export interface Heartbeat extends MemberIdentity {
  readonly maintenance: MaintenanceStatus
  readonly isCordoned: boolean
  /** Round-trip time of its previous heartbeat in milliseconds; absent in the first. */
  readonly rttMs?: number
  /** How long leases last from now on, in milliseconds. */
  readonly leaseTtlMs: number
  /** Leases that it gives up. */
  readonly release: readonly LeaseSubject[]
  /**
   * The daemons that it would run if they are wanted and nobody else runs them. Of those that any node may run it
   * acquires at most its share: their number divided by the number of members that take any, rounded up.
   */
  readonly takeDaemons: readonly DaemonId[]
  /** Those among them that it acquires regardless of its share. */
  readonly takeBeyondShare: readonly DaemonId[]
  /** Whether it would lead the chains of which it has copies. */
  readonly takesChains: boolean
  /** Milliseconds of silence after which a member is forgotten. */
  readonly forgetAfterMs: number
}

/** A member as the others see it. */
export interface MemberView extends MemberIdentity {
  /** Milliseconds since its last heartbeat, by the clock of the source. */
  readonly ageMs: number
  readonly maintenance: MaintenanceStatus
  readonly isCordoned: boolean
  readonly rttMs: number | undefined
}

/** Whether and where a daemon should run. */
export interface DaemonWish {
  readonly daemon: DaemonRef
  readonly intent: DaemonIntent
  /** The only node that may run it. */
  readonly node?: NodeId
}

/** A stored row that cannot be read. The view leaves it out. */
export interface UnreadableRow {
  /** Names the table, the column and what is wrong. */
  readonly error: NodeError<'node.stored_invalid'>
  /** The member that the row describes. */
  readonly node?: NodeId | undefined
  /** The chain of which the row names a copy. */
  readonly chain?: ChainId | undefined
}

/** The state of the cluster as of one heartbeat. */
export interface ClusterView {
  /** Identifies the cluster; positions in its log have no meaning in another. */
  readonly clusterId: string
  /** The clock of the source, in epoch milliseconds. */
  readonly nowMs: number
  /** The leases that this heartbeat has renewed or acquired; the member holds no others. */
  readonly held: readonly HeldLease[]
  readonly members: readonly MemberView[]
  readonly daemons: readonly DaemonWish[]
  /** The holder of each lease that has not expired. */
  readonly holders: ReadonlyMap<LeaseSubject, NodeId>
  readonly replicas: readonly { readonly chain: ChainId; readonly node: NodeId }[]
  readonly chains: readonly { readonly chain: ChainId; readonly desiredReplicas: number }[]
  /** What this member should hold. */
  readonly replicaIntents: readonly { readonly chain: ChainId; readonly intent: ReplicaIntent }[]
  /** The number of the last shared commit; 0 when there is none, `undefined` when it cannot be read. */
  readonly lastSequence: number | undefined
  /** What a source could not read. */
  readonly unreadable?: readonly UnreadableRow[]
}

/** A commit as all members read it, in the order of its number. */
export interface SharedCommit {
  readonly sequence: number
  /** When it was shared, by the clock of the source, in epoch milliseconds. */
  readonly sharedAtMs: number
  /** The clock of the source as it was read. */
  readonly readAtMs: number
  /** Absent when the stored data is not a valid commit. */
  readonly attempt: SignedAttempt | undefined
}

/** The part of {@link PlacementSource} whose calls need an answer. */
type Placing = Omit<PlacementSource, 'invalidate'>

/**
 * What the nodes of a cluster share: the members, who runs and leads what, what operators have asked for, and who
 * should hold which copy. Its clock alone decides how old everything is. Calls reject with the errors of the store, for
 * instance `store.unavailable`, and may have taken effect all the same. All but `heartbeat` and `join` are idempotent.
 */
export interface ClusterSource extends Placing {
  /**
   * Takes the place of the node from whichever life had it. Leases of earlier lives remain theirs until they expire.
   */
  join(member: MemberIdentity): Promise<void>
  /**
   * Reports the member, gives up, renews and acquires leases, and resolves with the state of the cluster. A lease can
   * be acquired once it was given up or has expired. Resolves with `undefined` when another life has taken the place.
   */
  heartbeat(beat: Heartbeat): Promise<ClusterView | undefined>
  /** Removes the member and gives up its leases, except those in `kept`. */
  leave(member: MemberIdentity, kept: readonly LeaseSubject[]): Promise<void>
  /** Sets whether and where a daemon should run. */
  wishDaemon(wish: DaemonWish): Promise<void>
  /** Sets how many copies of a chain there should be. */
  wishReplicas(chain: ChainId, desiredReplicas: number): Promise<void>
  /** Reports that a node has a copy of a chain, or no longer has one. */
  holdReplica(node: NodeId, chain: ChainId, isHeld: boolean): Promise<void>
  /** Forgets which copies a node should hold, so that this is decided again. */
  forgetReplicaIntents(node: NodeId): Promise<void>
  /** Appends a commit to the shared log and resolves with its number. The same payload always has the same number. */
  shareCommit(node: NodeId, attempt: SignedAttempt, digest: Digest): Promise<number>
  /** The commits after a number, in order. */
  commitsAfter(sequence: number, limit: number): Promise<readonly SharedCommit[]>
  requestPlacement(chain: ChainId, exclude: readonly NodeId[], target?: NodeId): Promise<void>
  requestEviction(chain: ChainId, victim: NodeId): Promise<void>
  /**
   * Calls `onChange` when another node has changed something, until disposed, so that nobody has to wait for the next
   * heartbeat. Calls may be missed; `undefined` if the source cannot notify.
   */
  listen?(onChange: () => void): AsyncDisposable | undefined
}
