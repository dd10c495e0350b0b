import type { ClusterView, DaemonWish, LeaseSubject, MemberView } from './cluster-source.js'
import type { IntentEvent, ObservedEvent } from './event.js'
import type { ChainId, NodeId } from './ids.js'
import { stateAfter, type MaintenanceState } from './maintenance.js'
import type { MaintenanceStatus, MonotonicMs, NodeHealth } from './vocabulary.js'

/** What the events of a view depend on. */
export interface PictureOptions {
  readonly thisNode: NodeId
  readonly degradedMs: number
  readonly unreachableMs: number
  /** Whether this node holds the lease, by its own clock. */
  readonly isHeldHere: (subject: LeaseSubject) => boolean
}

type PictureEvent = ObservedEvent | IntentEvent

/** The content of a view as events under keys; an event under the same key replaces the one before. */
function* eventsOf(
  view: ClusterView,
  now: MonotonicMs,
  options: PictureOptions,
): Generator<readonly [key: string, event: PictureEvent]> {
  const { thisNode } = options
  const own = view.members.find(({ node }) => node === thisNode)
  for (const member of view.members) {
    const { node: peer, maintenance } = member
    if (peer === thisNode) continue
    yield [`health ${peer}`, { type: 'node_health', peer, health: healthOf(member, options) }]
    yield [
      `maintenance ${peer}`,
      { type: 'maintenance_transition_observed', node: peer, state: standingOf(maintenance, now) },
    ]
    if (member.rttMs !== undefined && own?.rttMs !== undefined) {
      // Round trips go by way of the source, the only connection between the nodes.
      yield [`rtt ${peer}`, { type: 'rtt_sample', peer, rttMs: member.rttMs + own.rttMs }]
    }
  }
  const unreadable = view.unreadable ?? []
  for (const { node: peer } of unreadable) {
    // It is there, and nobody knows how it is.
    if (peer !== undefined && peer !== thisNode) {
      yield [`health ${peer}`, { type: 'node_health', peer, health: 'unreachable' }]
    }
  }
  for (const wish of view.daemons) yield [`daemon ${wish.daemon.id}`, intentOf(wish, view, options)]
  for (const { chain, node: holder } of view.replicas) {
    yield [`replica ${chain} ${holder}`, { type: 'replica_update', change: 'added', chain, holder }]
  }
  const uncounted = new Set(unreadable.map(({ chain }) => chain))
  for (const chain of new Set(view.replicas.map((replica) => replica.chain))) {
    // Without a leader nobody asks for copies of a chain whose copies cannot be counted.
    const leader = uncounted.has(chain) ? undefined : holderOf(`chain:${chain}`, view, options)
    const lead = leader === undefined ? {} : { leader }
    yield [`leader ${chain}`, { type: 'replica_leader_update', chain, ...lead }]
  }
  for (const { chain, desiredReplicas } of view.chains) {
    yield [`desired ${chain}`, { type: 'placement_intent', chain, desiredReplicas }]
  }
  for (const { chain, intent } of view.replicaIntents) {
    yield [`intent ${chain}`, { type: 'local_replica_intent', chain, intent }]
  }
}

/** The event that ends what an earlier event reported; `undefined` if there is none. */
function endOf(event: PictureEvent): PictureEvent | undefined {
  switch (event.type) {
    case 'node_health':
      return { type: 'peer_removed', peer: event.peer }
    case 'replica_update':
      return { type: 'replica_update', change: 'removed', chain: event.chain, holder: event.holder }
    case 'replica_leader_update':
      return { type: 'replica_leader_update', chain: event.chain }
    default:
      return undefined
  }
}

/** Only the status of another node is known, and when it was reported. */
function standingOf(status: MaintenanceStatus, now: MonotonicMs): MaintenanceState {
  return stateAfter(status === 'drain_failed' ? { status, reason: 'as it says' } : { status }, now)
}

/** Derived from the time of silence alone. */
function healthOf({ ageMs }: MemberView, { degradedMs, unreachableMs }: PictureOptions): NodeHealth {
  if (ageMs >= unreachableMs) return 'unreachable'
  return ageMs >= degradedMs ? 'degraded' : 'healthy'
}

/** A daemon that nobody may run yet counts as not wanted: only the holder of its lease runs it (N-510). */
function intentOf({ daemon, intent }: DaemonWish, view: ClusterView, options: PictureOptions): PictureEvent {
  const node = intent === 'run' ? holderOf(`daemon:${daemon.id}`, view, options) : undefined
  return node === undefined
    ? { type: 'daemon_intent_update', daemon, intent: 'stop' }
    : { type: 'daemon_intent_update', daemon, intent: 'run', node }
}

function holderOf(
  subject: LeaseSubject,
  { holders }: ClusterView,
  { thisNode, isHeldHere }: PictureOptions,
): NodeId | undefined {
  if (isHeldHere(subject)) return thisNode
  const holder = holders.get(subject)
  // The lease of an earlier life of this node does not count for this one.
  return holder === thisNode ? undefined : holder
}

/**
 * What a node has told its loop about the cluster. Each view is compared with it, and only differences are sent; those
 * that found no room are sent again with the next view (N-505).
 */
export class ClusterPicture {
  readonly #options: PictureOptions
  readonly #told = new Map<string, { readonly event: PictureEvent; readonly text: string }>()

  constructor(options: PictureOptions) {
    this.#options = options
  }

  /** Sends the differences to the view; `tell` returns whether an event was accepted. */
  show(view: ClusterView, now: MonotonicMs, tell: (event: PictureEvent) => boolean): void {
    const seen = new Set<string>()
    for (const [key, event] of eventsOf(view, now, this.#options)) {
      seen.add(key)
      this.#tell(key, event, tell)
    }
    for (const [key, { event }] of this.#told) {
      if (seen.has(key)) continue
      const end = endOf(event)
      if (end === undefined || tell(end)) this.#told.delete(key)
    }
  }

  /** The source cannot be reached: nothing is known of the other nodes. */
  lose(tell: (event: PictureEvent) => boolean): void {
    for (const [key, { event }] of this.#told) {
      if (event.type === 'node_health') this.#tell(key, { ...event, health: 'unreachable' }, tell)
    }
  }

  /** This node no longer runs the daemon or leads the chain, whatever the last view says. */
  end(subject: LeaseSubject, tell: (event: PictureEvent) => boolean): void {
    const [kind, id = ''] = subject.split(':')
    const key = kind === 'chain' ? `leader ${id}` : `daemon ${id}`
    const told = this.#told.get(key)?.event
    if (told?.type === 'daemon_intent_update') {
      this.#tell(key, { type: 'daemon_intent_update', daemon: told.daemon, intent: 'stop' }, tell)
    } else if (kind === 'chain') this.#tell(key, { type: 'replica_leader_update', chain: id as ChainId }, tell)
  }

  #tell(key: string, event: PictureEvent, tell: (event: PictureEvent) => boolean): void {
    const text = textOf(event)
    if (this.#told.get(key)?.text !== text && tell(event)) this.#told.set(key, { event, text })
  }
}

/** Instants are when an event was made, and do not count as a difference. */
function textOf(event: PictureEvent): string {
  return event.type === 'maintenance_transition_observed' ? event.state.status : JSON.stringify(event)
}
