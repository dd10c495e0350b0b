import type { SignedAttempt } from './admin/index.js'
import type { DaemonRef } from './daemon.js'
import type { ChainId, DaemonId, Digest, EpochId, NodeId } from './ids.js'
import type { PlacementSource } from './node-dispatcher.js'
import type { DaemonIntent, MaintenanceStatus, ReplicaIntent } from './vocabulary.js'

/** One life of a member: its node, and the epoch of the loop that speaks for it. */
export interface MemberIdentity {
  readonly node: NodeId
  readonly epoch: EpochId
}

/** What a lease is for: the one copy of a daemon, or the lead of a chain. */
export type LeaseSubject = `daemon:${DaemonId}` | `chain:${ChainId}`

/** A lease as its holder has it. */
export interface HeldLease {
  readonly subject: LeaseSubject
  /** Grows whenever the lease changes hands, also back into the same. */
  readonly fence: number
}

/** What a member says with every heartbeat, and what it asks for. */
export interface Heartbeat extends MemberIdentity {
  readonly maintenance: MaintenanceStatus
  readonly isCordoned: boolean
  /** Milliseconds that its last heartbeat took, there and back; absent with the first. */
  readonly rttMs?: number
  /** For how long leases are its own from now on, in milliseconds. */
  readonly leaseTtlMs: number
  /** Leases that it gives up. */
  readonly release: readonly LeaseSubject[]
  /**
   * The daemons that it would run, if nobody else does and they are wished for. Those that any node may run it acquires up to its
   * share: their number by that of the members that take anything, rounded up.
   */
  readonly takeDaemons: readonly DaemonId[]
  /** Those among them that it acquires whatever its share is. */
  readonly takeBeyondShare: readonly DaemonId[]
  /** Whether it would lead the chains of which it has copies. */
  readonly takesChains: boolean
  /** Milliseconds after which a member that was not heard of is forgotten. */
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

/** Whether a daemon should run anywhere. */
export interface DaemonWish {
  readonly daemon: DaemonRef
  readonly intent: DaemonIntent
  /** The one node that may run it. */
  readonly node?: NodeId
}

/** What the cluster knows, as of one heartbeat. */
export interface ClusterView {
  /** Names the cluster; positions in its log mean nothing in another. */
  readonly clusterId: string
  /** The clock of the source, in epoch milliseconds. */
  readonly nowMs: number
  /** The leases that this heartbeat has renewed or acquired; no other is its own. */
  readonly held: readonly HeldLease[]
  readonly members: readonly MemberView[]
  readonly daemons: readonly DaemonWish[]
  /** Who holds which lease that has not expired. */
  readonly holders: ReadonlyMap<LeaseSubject, NodeId>
  readonly replicas: readonly { readonly chain: ChainId; readonly node: NodeId }[]
  readonly chains: readonly { readonly chain: ChainId; readonly desiredReplicas: number }[]
  /** What this member should hold. */
  readonly replicaIntents: readonly { readonly chain: ChainId; readonly intent: ReplicaIntent }[]
  /** The number of the last shared commit; 0 when there is none. */
  readonly lastSequence: number
}

/** A commit as all members read it, in the order of its number. */
export interface SharedCommit {
  readonly sequence: number
  /** When it was shared, by the clock of the source, in epoch milliseconds. */
  readonly sharedAtMs: number
  /** The clock of the source as it was read. */
  readonly readAtMs: number
  /** Absent when what is stored is no commit. */
  readonly attempt: SignedAttempt | undefined
}

/** How a member asks who should hold what: the part of {@link PlacementSource} that needs an answer. */
type Placing = Omit<PlacementSource, 'invalidate'>

/**
 * What the nodes of a cluster share: who is there, who runs and leads what, what operators have asked for, who should hold which
 * copy. Its one clock decides how old everything is. Calls reject with what the store says, a `store.unavailable` for instance, and
 * may then have been done all the same: all but `heartbeat` and `join` can be done twice.
 */
export interface ClusterSource extends Placing {
  /** Takes the place of the node, from whichever life had it. Leases of earlier lives stay theirs until they expire. */
  join(member: MemberIdentity): Promise<void>
  /**
   * Says that the member is there, gives up, renews and acquires leases, and tells what the cluster knows. A lease can be acquired
   * once it was given up or has expired. Resolves with `undefined` when another life has taken the place.
   */
  heartbeat(beat: Heartbeat): Promise<ClusterView | undefined>
  /** Takes the member away; its leases are given up, all but these. */
  leave(member: MemberIdentity, kept: readonly LeaseSubject[]): Promise<void>
  /** Says whether a daemon should run, and where. */
  wishDaemon(wish: DaemonWish): Promise<void>
  /** Says how many copies there should be of a chain. */
  wishReplicas(chain: ChainId, desiredReplicas: number): Promise<void>
  /** Says that a node has a copy of a chain, or has it no more. */
  holdReplica(node: NodeId, chain: ChainId, isHeld: boolean): Promise<void>
  /** Forgets what a node should hold, so that it is decided anew. */
  forgetReplicaIntents(node: NodeId): Promise<void>
  /** Appends a commit to the shared log. The same payload has one number, however often it comes. */
  shareCommit(node: NodeId, attempt: SignedAttempt, digest: Digest): Promise<number>
  /** Commits behind a number, in order. */
  commitsAfter(sequence: number, limit: number): Promise<readonly SharedCommit[]>
  requestPlacement(chain: ChainId, exclude: readonly NodeId[], target?: NodeId): Promise<void>
  requestEviction(chain: ChainId, victim: NodeId): Promise<void>
  /**
   * Hears, until disposed, that somebody has changed something, so that nobody waits for the next heartbeat. A hint, never a promise;
   * `undefined` where there is none.
   */
  listen?(onChange: () => void): AsyncDisposable | undefined
}
