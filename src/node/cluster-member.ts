import type { Clock } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { faultFields } from '../base/error-details.js'
import { StatewardError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { createDeferred, silence } from '../base/promises.js'
import { payloadOf, payloadDigest, type SignedAttempt } from './admin/index.js'
import { ClusterLeases } from './cluster-leases.js'
import {
  clusterReached,
  clusterRefused,
  clusterUnreachable,
  leaseAcquired,
  leaseLost,
  memberSuperseded,
  rowUnreadable,
} from './cluster-lines.js'
import { ClusterLog, type ClusterPosition, type CommitReader } from './cluster-log.js'
import type { ClusterConfiguration } from './cluster-options.js'
import { ClusterPicture } from './cluster-picture.js'
import type { ClusterView, DaemonWish, HeldLease, LeaseSubject, MemberIdentity } from './cluster-source.js'
import { NodeError } from './errors.js'
import type { NodeEvent } from './event.js'
import type { ChainId, DaemonId, EpochId, NodeId } from './ids.js'
import { isDraining } from './maintenance.js'
import type { PlacementSource } from './node-dispatcher.js'
import type { AdminAuditRecord } from './records.js'
import type { MaintenanceStatus, MonotonicMs } from './vocabulary.js'

/** The node that a member represents. */
export interface ClusterHost extends CommitReader {
  /** Publishes an event to the loop without waiting; false when it was not accepted. */
  tell(event: NodeEvent): boolean
  /** The maintenance status and cordon of the node, as last reported. */
  standing(): { readonly maintenance: MaintenanceStatus; readonly isCordoned: boolean }
  /** The daemons that it could run. */
  runnable(): readonly DaemonId[]
  /** Whether code of the daemon may still be running. */
  isRunning(daemon: DaemonId): boolean
  /** Ends a copy at once, regardless of intents. */
  end(daemon: DaemonId, graceMs: number): void
}

/** Options of a {@link ClusterMember}. */
export interface ClusterMemberOptions {
  readonly thisNode: NodeId
  readonly epoch: EpochId
  readonly configuration: ClusterConfiguration
  readonly host: ClusterHost
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
}

/**
 * A node as a member of a cluster: it announces itself, holds the leases of what it runs and leads, reads what the
 * other members report and what operators have asked of all of them, and tells its loop. When the source cannot be
 * reached it goes on with what it knows, for as long as its leases allow (N-500 to N-523).
 */
export class ClusterMember implements PlacementSource {
  readonly #options: ClusterMemberOptions
  readonly #identity: MemberIdentity
  readonly #leases: ClusterLeases
  readonly #picture: ClusterPicture
  readonly #log: ClusterLog
  /** Leases that are left to other nodes for a while, and until when. */
  readonly #handedOver = new Map<LeaseSubject, MonotonicMs>()
  /** Chains whose copy this node has given up. */
  readonly #givenUp = new Set<LeaseSubject>()
  /** Daemons that nobody runs, and since when this node knows. */
  #freeSince: ReadonlyMap<DaemonId, MonotonicMs> = new Map()
  /** Leases under which something has run. */
  readonly #used = new Set<LeaseSubject>()
  #view: ClusterView | undefined
  #rttMs: number | undefined
  /** The clock of the source minus our monotonic clock. */
  #offsetMs: number | undefined
  #next: Deadline | undefined
  #beating: Promise<void> | undefined
  #isAskedAgain = false
  #listening: AsyncDisposable | undefined
  #lastBeatAt = 0
  #isOutOfReach = false
  /** How many rows could not be read for which column, as logged. */
  #unreadable: ReadonlyMap<string, number> = new Map()
  #state: 'idle' | 'member' | 'leaving' | 'gone' = 'idle'

  constructor(options: ClusterMemberOptions) {
    const { thisNode, epoch, configuration, deadlines, clock, host, logger } = options
    const { graceMs, degradedMs, unreachableMs } = configuration
    this.#options = options
    this.#identity = { node: thisNode, epoch }
    this.#leases = new ClusterLeases({
      deadlines,
      graceMs,
      now: () => clock.monotonicNow(),
      onAcquired: (lease) => this.#onAcquired(lease),
      onLost: (lease, leftMs, reason) => this.#onLost(lease, leftMs, reason),
    })
    this.#picture = new ClusterPicture({
      thisNode,
      degradedMs,
      unreachableMs,
      isHeldHere: (subject) => this.#leases.fenceOf(subject) !== undefined && !this.#handedOver.has(subject),
    })
    this.#log = new ClusterLog({
      source: configuration.source,
      reader: host,
      logger,
      inTime: (answer) => this.#inTime(answer),
    })
  }

  /** The latest view of the cluster; `undefined` before the first heartbeat. */
  get view(): ClusterView | undefined {
    return this.#view
  }

  /** The current time of the source's clock, in epoch milliseconds, as an estimate. */
  get nowMs(): number {
    const { clock } = this.#options
    return Math.trunc(this.#offsetMs === undefined ? clock.wallNow() : clock.monotonicNow() + this.#offsetMs)
  }

  /** The fence under which the daemon may run here; `undefined` if it may not. */
  fenceOf(daemon: DaemonId): number | undefined {
    return this.#leases.fenceOf(`daemon:${daemon}`)
  }

  /** Joins the cluster. Call it once. Rejects with the errors of the source. */
  async join(): Promise<void> {
    this.#log.begin()
    await this.#options.configuration.source.join(this.#identity)
    this.#state = 'member'
  }

  /** Starts the heartbeats, which go on until {@link ClusterMember.leave}. Call it once the loop runs. */
  begin(): void {
    this.#lastBeatAt = this.#options.clock.monotonicNow()
    this.#listening = this.#options.configuration.source.listen?.(() => this.#askSoon())
    this.#askSoon()
  }

  /** Stops acquiring leases; those held are renewed until {@link ClusterMember.leave}. */
  prepareToLeave(): void {
    if (this.#state === 'member') this.#state = 'leaving'
  }

  /** Leaves the cluster and gives up every lease under which nothing runs. Errors of the source are logged. */
  async leave(): Promise<void> {
    const { host, configuration, logger } = this.#options
    const wasMember = this.#state === 'member' || this.#state === 'leaving'
    this.#state = 'gone'
    this.#next?.[Symbol.dispose]()
    this.#log.close()
    await this.#listening?.[Symbol.asyncDispose]()
    await this.#beating
    await this.#log.settled()
    const kept = this.#leases.subjects().filter((subject) => {
      const daemon = daemonOf(subject)
      return daemon !== undefined && host.isRunning(daemon)
    })
    this.#leases.clear()
    if (!wasMember) return
    try {
      await configuration.source.leave(this.#identity, kept)
    } catch (cause) {
      clusterUnreachable(logger, faultFields(cause))
    }
  }

  // What a node asks of its cluster

  /**
   * Sets whether a daemon should run, on any node that can or on one in particular. Rejects with the errors of the
   * source.
   */
  async wishDaemon(wish: DaemonWish): Promise<void> {
    await this.#options.configuration.source.wishDaemon(wish)
    this.#askSoon()
  }

  /** Sets how many nodes should hold the chain. Rejects with the errors of the source. */
  async wishReplicas(chain: ChainId, desiredReplicas: number): Promise<void> {
    await this.#options.configuration.source.wishReplicas(chain, desiredReplicas)
    this.#askSoon()
  }

  /** Reports that this node has a copy of the chain, and may lead it. Rejects with the errors of the source. */
  async becameHolder(chain: ChainId): Promise<void> {
    this.#givenUp.delete(`chain:${chain}`)
    await this.#options.configuration.source.holdReplica(this.#identity.node, chain, true)
    this.#askSoon()
  }

  /**
   * Reports that this node has no copy of the chain any more, and does not lead it. Rejects with the errors of the
   * source.
   */
  async idled(chain: ChainId): Promise<void> {
    const subject: LeaseSubject = `chain:${chain}`
    this.#givenUp.add(subject)
    this.#picture.end(subject, (event) => this.#options.host.tell(event))
    await this.#options.configuration.source.holdReplica(this.#identity.node, chain, false)
    this.#askSoon()
  }

  /**
   * Shares a commit with all members. Resolves with the audit record that this node has made of it, durably, once it
   * has read it. Rejects with the errors of the source, and with `node.loop_closed`.
   */
  async share(attempt: SignedAttempt): Promise<AdminAuditRecord | undefined> {
    const { source } = this.#options.configuration
    const sequence = await source.shareCommit(this.#identity.node, attempt, payloadDigest(payloadOf(attempt)))
    const known = this.#log.judged(sequence)
    if (known !== undefined) return known
    // It was read before, by another life, or the log has been replaced: the next view shows which.
    if (this.#log.wasRead(sequence)) await this.#beatAnew()
    if (this.#log.wasRead(sequence)) return undefined
    const judged = this.#log.untilJudged(sequence)
    this.#askSoon()
    return judged
  }

  async requestPlacement(chain: ChainId, exclude: readonly NodeId[], target?: NodeId): Promise<void> {
    await this.#asked(this.#options.configuration.source.requestPlacement(chain, exclude, target))
  }

  async requestEviction(chain: ChainId, victim: NodeId): Promise<void> {
    await this.#asked(this.#options.configuration.source.requestEviction(chain, victim))
  }

  /**
   * Hands over what this node runs to other nodes, if any can take it. Does nothing for another node, which is told
   * itself.
   */
  invalidate(node: NodeId): void {
    if (node !== this.#identity.node) return
    const { host, clock, configuration } = this.#options
    const until = clock.monotonicNow() + configuration.leaseTtlMs
    for (const subject of this.#leases.subjects()) {
      if (daemonOf(subject) === undefined) continue
      this.#handedOver.set(subject, until)
      this.#picture.end(subject, (event) => host.tell(event))
    }
    this.#asked(configuration.source.forgetReplicaIntents(node)).catch((cause: unknown) => this.#onFault(cause))
  }

  /** An operation that the store cannot do right now may be retried. */
  async #asked(answer: Promise<void>): Promise<void> {
    try {
      await answer
    } catch (cause) {
      if (!isPassing(cause)) throw cause
      const reason = (cause as StatewardError).message
      throw new NodeError('node.dispatch_failed', { reason, retryAfterMs: 1000 }, { cause })
    }
    this.#askSoon()
  }

  // Heartbeats

  /** Beats now, or when the heartbeat under way is over. */
  #askSoon(): void {
    if (this.#state !== 'member' && this.#state !== 'leaving') return
    if (this.#beating !== undefined) {
      this.#isAskedAgain = true
      return
    }
    this.#next?.[Symbol.dispose]()
    this.#isAskedAgain = false
    this.#beating = this.#beat().finally(() => {
      this.#beating = undefined
      if (this.#isAskedAgain) return this.#askSoon()
      if (this.#state !== 'member' && this.#state !== 'leaving') return
      this.#next = this.#options.deadlines.after(this.#options.configuration.heartbeatMs, () => this.#askSoon())
    })
  }

  /** Resolves after a heartbeat that began after this call. */
  async #beatAnew(): Promise<void> {
    await this.#beating
    this.#askSoon()
    await this.#beating
  }

  /** Never rejects. */
  async #beat(): Promise<void> {
    const { configuration, clock, host } = this.#options
    const { leaseTtlMs, forgetAfterMs, source } = configuration
    const sentAt = clock.monotonicNow()
    const readBefore = this.#log.position
    try {
      const { maintenance, isCordoned } = host.standing()
      const isTaking = this.#state === 'member' && !isCordoned && !isDraining(maintenance)
      const takeDaemons = isTaking ? host.runnable().filter((daemon) => !this.#handedOver.has(`daemon:${daemon}`)) : []
      const answer = source.heartbeat({
        ...this.#identity,
        maintenance,
        isCordoned,
        ...(this.#rttMs !== undefined && { rttMs: this.#rttMs }),
        leaseTtlMs,
        release: this.#toRelease(isTaking, sentAt),
        takeDaemons,
        takeBeyondShare: takeDaemons.filter((daemon) => this.#wasLeft(daemon, sentAt)),
        takesChains: isTaking,
        forgetAfterMs,
      })
      const view = await this.#inTime(answer)
      if (view === undefined) this.#onSuperseded()
      else this.#onView(view, sentAt, readBefore)
    } catch (cause) {
      this.#onFault(cause)
    }
  }

  /** A source that does not answer in time is unreachable; a late answer is ignored. */
  async #inTime<Value>(answer: Promise<Value>): Promise<Value> {
    const { deadlines, configuration } = this.#options
    const late = createDeferred<never>()
    const timeoutMs = configuration.leaseTtlMs
    const deadline = deadlines.after(timeoutMs, () => late.reject(new NodeError('node.cluster_silent', { timeoutMs })))
    try {
      return await Promise.race([silence(answer), late.promise])
    } finally {
      deadline[Symbol.dispose]()
    }
  }

  /** Leases that are no longer wanted here and under which nothing runs. From now on nothing is started under them. */
  #toRelease(isTaking: boolean, now: MonotonicMs): readonly LeaseSubject[] {
    for (const [subject, until] of this.#handedOver) {
      if (until <= now && this.#leases.fenceOf(subject) === undefined) this.#handedOver.delete(subject)
    }
    const released = this.#leases.subjects().filter((subject) => this.#isToRelease(subject, isTaking))
    for (const subject of released) this.#leases.release(subject)
    return released
  }

  #isToRelease(subject: LeaseSubject, isTaking: boolean): boolean {
    const { host, thisNode } = this.#options
    const daemon = daemonOf(subject)
    const { maintenance } = host.standing()
    if (daemon === undefined) return this.#givenUp.has(subject) || isDraining(maintenance)
    if (host.isRunning(daemon)) {
      this.#used.add(subject)
      return false
    }
    const wish = this.#view?.daemons.find(({ daemon: { id } }) => id === daemon)
    const isWished = wish?.intent === 'run' && (wish.node === undefined || wish.node === thisNode)
    if (!isWished || this.#handedOver.has(subject) || isDraining(maintenance)) return true
    // It was acquired before a cordon that now keeps it from being used.
    return !isTaking && !this.#used.has(subject)
  }

  #onView(view: ClusterView, sentAt: MonotonicMs, readBefore: ClusterPosition | undefined): void {
    const { configuration, clock, host, logger } = this.#options
    const now = clock.monotonicNow()
    if (this.#isOutOfReach) clusterReached(logger, { afterMs: Math.round(now - this.#lastBeatAt) })
    this.#isOutOfReach = false
    this.#lastBeatAt = now
    this.#rttMs = now - sentAt
    this.#offsetMs = view.nowMs - (sentAt + now) / 2
    this.#view = view
    if (this.#state === 'gone') return
    // The source cannot have started counting before the request was sent.
    this.#leases.replace(view.held, sentAt + configuration.leaseTtlMs)
    this.#picture.show(view, now, (event) => host.tell(event))
    this.#noteFree(view, now)
    this.#noteUnreadable(view)
    this.#log.follow(view, readBefore)
  }

  /** Logs each column whose number of unreadable rows has changed, with the first of them. */
  #noteUnreadable({ unreadable = [] }: ClusterView): void {
    const known = this.#unreadable
    const found = new Map<string, number>()
    for (const { error } of unreadable) found.set(error.data.field, (found.get(error.data.field) ?? 0) + 1)
    for (const [field, rows] of found) {
      const first = unreadable.find(({ error }) => error.data.field === field)
      if (known.get(field) !== rows)
        rowUnreadable(this.#options.logger, { field, reason: first?.error.data.reason, rows })
    }
    this.#unreadable = found
  }

  /** Records since when nobody has run the daemons that any node may run. */
  #noteFree({ daemons, holders }: ClusterView, now: MonotonicMs): void {
    const free = new Map<DaemonId, MonotonicMs>()
    for (const { daemon, intent, node } of daemons) {
      if (intent !== 'run' || node !== undefined || holders.has(`daemon:${daemon.id}`)) continue
      free.set(daemon.id, this.#freeSince.get(daemon.id) ?? now)
    }
    this.#freeSince = free
  }

  /** Whether every node has had time to take its share, and nobody has taken this daemon. */
  #wasLeft(daemon: DaemonId, now: MonotonicMs): boolean {
    const since = this.#freeSince.get(daemon)
    return since !== undefined && now - since >= 2 * this.#options.configuration.heartbeatMs
  }

  #onAcquired({ subject, fence }: HeldLease): void {
    this.#used.delete(subject)
    leaseAcquired(this.#options.logger, { subject, fence })
  }

  #onLost({ subject, fence }: HeldLease, leftMs: number, reason: string): void {
    const { host, logger } = this.#options
    leaseLost(logger, { subject, fence, reason })
    const daemon = daemonOf(subject)
    if (daemon !== undefined && host.isRunning(daemon)) host.end(daemon, leftMs)
    this.#picture.end(subject, (event) => host.tell(event))
  }

  #onSuperseded(): void {
    const { thisNode: node, logger, host } = this.#options
    memberSuperseded(logger, { node })
    this.#state = 'gone'
    this.#leases.replace([], 0)
    // Without the source nothing is known of the other nodes.
    this.#picture.lose((event) => host.tell(event))
    this.#log.close()
  }

  #onFault(cause: unknown): void {
    const { logger, clock, configuration, host } = this.#options
    // The first failure is logged; leases expire by themselves.
    if (!this.#isOutOfReach) (isPassing(cause) ? clusterUnreachable : clusterRefused)(logger, faultFields(cause))
    this.#isOutOfReach = true
    const silentMs = clock.monotonicNow() - this.#lastBeatAt
    if (silentMs >= configuration.unreachableMs) this.#picture.lose((event) => host.tell(event))
  }
}

/** The daemon that a lease is for; `undefined` for a chain. */
function daemonOf(subject: LeaseSubject): DaemonId | undefined {
  return subject.startsWith('daemon:') ? (subject.slice('daemon:'.length) as DaemonId) : undefined
}

const passing = ['store.unavailable', 'store.conflict', 'node.cluster_silent'] as const

/** Whether a retry may succeed. */
function isPassing(cause: unknown): boolean {
  return passing.some((code) => StatewardError.is(cause, code))
}
