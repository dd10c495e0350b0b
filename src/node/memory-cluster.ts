import { systemClock, type Clock } from '../base/clock.js'
import type { SignedAttempt } from './admin/index.js'
import { NodeError } from './errors.js'
import type {
  ClusterSource,
  ClusterView,
  DaemonWish,
  Heartbeat,
  HeldLease,
  LeaseSubject,
  MemberIdentity,
  MemberView,
  SharedCommit,
} from './cluster-source.js'
import type { ChainId, DaemonId, Digest, EpochId, NodeId } from './ids.js'
import type { ReplicaIntent } from './vocabulary.js'

interface Lease {
  fence: number
  holder: MemberIdentity | undefined
  /** By the monotonic clock. */
  expiresAt: number
}

interface Member extends Omit<MemberView, 'ageMs'> {
  /** By the monotonic clock. */
  readonly seenAt: number
}

/** Numbers the clusters of this process; ids are not stable across processes. */
let clusters = 0

/** A cluster in memory, for the nodes of one process: for a single node, and for tests. It ends with the process. */
export class MemoryCluster implements ClusterSource {
  readonly #clock: Pick<Clock, 'wallNow' | 'monotonicNow'>
  readonly #healthyForMs: number
  readonly #clusterId: string
  readonly #members = new Map<NodeId, Member>()
  readonly #daemons = new Map<DaemonId, DaemonWish>()
  readonly #leases = new Map<LeaseSubject, Lease>()
  readonly #chains = new Map<ChainId, number>()
  readonly #replicas = new Map<ChainId, Set<NodeId>>()
  readonly #intents = new Map<NodeId, Map<ChainId, ReplicaIntent>>()
  readonly #commits: (Omit<SharedCommit, 'readAtMs' | 'attempt'> & {
    readonly digest: Digest
    readonly attempt: SignedAttempt
  })[] = []

  /**
   * `healthyForMs`: only members heard of within this time are given copies and a share of the daemons. Default 5,000.
   */
  constructor(clock: Pick<Clock, 'wallNow' | 'monotonicNow'> = systemClock, { healthyForMs = 5000 } = {}) {
    this.#clock = clock
    this.#healthyForMs = healthyForMs
    clusters += 1
    this.#clusterId = `memory:${process.pid}:${clusters}:${Math.trunc(clock.wallNow())}`
  }

  async join({ node, epoch }: MemberIdentity): Promise<void> {
    const seenAt = this.#clock.monotonicNow()
    this.#members.set(node, { node, epoch, seenAt, maintenance: 'active', isCordoned: false, rttMs: undefined })
  }

  async heartbeat(beat: Heartbeat): Promise<ClusterView | undefined> {
    const { node, epoch, maintenance, isCordoned, rttMs, leaseTtlMs, release, forgetAfterMs } = beat
    const now = this.#clock.monotonicNow()
    if (this.#members.get(node)?.epoch !== epoch) return undefined
    this.#members.set(node, { node, epoch, seenAt: now, maintenance, isCordoned, rttMs })
    for (const [other, { seenAt }] of this.#members) if (now - seenAt > forgetAfterMs) this.#members.delete(other)
    for (const subject of release) this.#release(subject, beat)
    const held: HeldLease[] = []
    const hold = (subject: LeaseSubject, lease: Lease): void => {
      lease.expiresAt = now + leaseTtlMs
      held.push({ subject, fence: lease.fence })
    }
    for (const [subject, lease] of this.#leases) {
      if (lease.expiresAt > now && isSame(lease.holder, beat)) hold(subject, lease)
    }
    // Daemons taken regardless of the share count towards it.
    for (const isAcquired of [this.#isBeyondShare, this.#isInShare(held, leaseTtlMs)]) {
      for (const [subject, lease] of [...this.#leases].sort(bySubject)) {
        const isFree = lease.holder === undefined || lease.expiresAt <= now
        if (!isFree || !isAcquired(subject, beat)) continue
        lease.fence += 1
        lease.holder = { node, epoch }
        hold(subject, lease)
      }
    }
    return this.#viewOf(node, held)
  }

  async leave({ node, epoch }: MemberIdentity, kept: readonly LeaseSubject[]): Promise<void> {
    for (const subject of this.#leases.keys()) if (!kept.includes(subject)) this.#release(subject, { node, epoch })
    if (this.#members.get(node)?.epoch === epoch) this.#members.delete(node)
  }

  async wishDaemon(wish: DaemonWish): Promise<void> {
    this.#daemons.set(wish.daemon.id, wish)
    this.#leaseOf(`daemon:${wish.daemon.id}`)
  }

  async wishReplicas(chain: ChainId, desiredReplicas: number): Promise<void> {
    this.#chains.set(chain, desiredReplicas)
  }

  async holdReplica(node: NodeId, chain: ChainId, isHeld: boolean): Promise<void> {
    this.#leaseOf(`chain:${chain}`)
    const holders = this.#replicas.get(chain) ?? new Set()
    if (isHeld) holders.add(node)
    else holders.delete(node)
    this.#replicas.set(chain, holders)
  }

  async forgetReplicaIntents(node: NodeId): Promise<void> {
    this.#intents.delete(node)
  }

  async shareCommit(_node: NodeId, attempt: SignedAttempt, digest: Digest): Promise<number> {
    const known = this.#commits.find((commit) => commit.digest === digest)
    if (known !== undefined) return known.sequence
    const sequence = this.#commits.length + 1
    this.#commits.push({ sequence, sharedAtMs: this.#nowMs(), digest, attempt })
    return sequence
  }

  async commitsAfter(after: number, limit: number): Promise<readonly SharedCommit[]> {
    const readAtMs = this.#nowMs()
    return this.#commits.slice(after, after + limit).map(({ sequence, sharedAtMs, attempt }) => ({
      sequence,
      sharedAtMs,
      readAtMs,
      attempt,
    }))
  }

  async requestPlacement(chain: ChainId, exclude: readonly NodeId[], target?: NodeId): Promise<void> {
    const now = this.#clock.monotonicNow()
    const candidates = [...this.#members.values()].filter(
      (member) =>
        this.#isTaking(member, now) &&
        !exclude.includes(member.node) &&
        (target === undefined || member.node === target),
    )
    const [picked] = candidates.map(({ node }) => node).sort()
    if (picked === undefined) throw noCandidate(chain)
    this.#intend(picked, chain, 'hold')
  }

  async requestEviction(chain: ChainId, victim: NodeId): Promise<void> {
    this.#intend(victim, chain, 'drop')
  }

  #intend(node: NodeId, chain: ChainId, intent: ReplicaIntent): void {
    const intents = this.#intents.get(node) ?? new Map<ChainId, ReplicaIntent>()
    intents.set(chain, intent)
    this.#intents.set(node, intents)
  }

  readonly #isBeyondShare = (subject: LeaseSubject, beat: Heartbeat): boolean => {
    const { node, takeDaemons, takeBeyondShare, takesChains } = beat
    const [kind, id] = subject.split(':')
    if (kind === 'chain') return takesChains && this.#replicas.get(id as ChainId)?.has(node) === true
    const wish = this.#daemons.get(id as DaemonId)
    if (wish?.intent !== 'run') return false
    return wish.node === undefined
      ? takeBeyondShare.includes(wish.daemon.id)
      : wish.node === node && takeDaemons.includes(wish.daemon.id)
  }

  /** True until it has as many daemons as every member that takes any should have. */
  #isInShare(held: readonly HeldLease[], leaseTtlMs: number): (subject: LeaseSubject, beat: Heartbeat) => boolean {
    const now = this.#clock.monotonicNow()
    const wished = [...this.#daemons.values()].filter(({ intent }) => intent === 'run').length
    // A member that was silent for the length of a lease holds none, and takes no share.
    const taking = [...this.#members.values()].filter(
      (member) => this.#isTaking(member, now) && now - member.seenAt < leaseTtlMs,
    ).length
    const share = Math.ceil(wished / Math.max(1, taking))
    return (subject, { takeDaemons }) => {
      const [kind, id] = subject.split(':')
      const wish = kind === 'daemon' ? this.#daemons.get(id as DaemonId) : undefined
      if (wish?.intent !== 'run' || wish.node !== undefined || !takeDaemons.includes(wish.daemon.id)) return false
      return held.filter((lease) => lease.subject.startsWith('daemon:')).length < share
    }
  }

  #isTaking({ maintenance, isCordoned, seenAt }: Member, now: number): boolean {
    return maintenance === 'active' && !isCordoned && now - seenAt <= this.#healthyForMs
  }

  #leaseOf(subject: LeaseSubject): void {
    if (!this.#leases.has(subject)) this.#leases.set(subject, { fence: 0, holder: undefined, expiresAt: 0 })
  }

  #release(subject: LeaseSubject, member: MemberIdentity): void {
    const lease = this.#leases.get(subject)
    if (lease !== undefined && isSame(lease.holder, member)) lease.holder = undefined
  }

  #viewOf(node: NodeId, held: readonly HeldLease[]): ClusterView {
    const now = this.#clock.monotonicNow()
    const holders = new Map<LeaseSubject, NodeId>()
    for (const [subject, { holder, expiresAt }] of this.#leases) {
      if (holder !== undefined && expiresAt > now) holders.set(subject, holder.node)
    }
    return {
      clusterId: this.#clusterId,
      nowMs: this.#nowMs(),
      held,
      members: [...this.#members.values()].map(({ seenAt, ...member }) => ({ ...member, ageMs: now - seenAt })),
      daemons: [...this.#daemons.values()],
      holders,
      replicas: [...this.#replicas].flatMap(([chain, nodes]) => [...nodes].map((holder) => ({ chain, node: holder }))),
      chains: [...this.#chains].map(([chain, desiredReplicas]) => ({ chain, desiredReplicas })),
      replicaIntents: [...(this.#intents.get(node) ?? [])].map(([chain, intent]) => ({ chain, intent })),
      lastSequence: this.#commits.length,
    }
  }

  #nowMs(): number {
    return Math.trunc(this.#clock.wallNow())
  }
}

function bySubject([one]: readonly [LeaseSubject, Lease], [other]: readonly [LeaseSubject, Lease]): number {
  return one < other ? -1 : 1
}

/** No node could take a copy; this may change, so it can be retried. */
export function noCandidate(chain: ChainId): NodeError<'node.dispatch_failed'> {
  return new NodeError('node.dispatch_failed', {
    reason: `no node can take a copy of chain ${chain}`,
    retryAfterMs: 1000,
  })
}

function isSame(
  holder: { readonly node: NodeId; readonly epoch: EpochId } | undefined,
  { node, epoch }: MemberIdentity,
): boolean {
  return holder?.node === node && holder.epoch === epoch
}
