import type { Clock } from '../base/clock.js'
import { parseNodeId, type NodeId } from './ids.js'
import type { HealthProbe, LocalityProbe } from './probes.js'
import type { NodeHealth } from './vocabulary.js'

/** What is known of the contact with one peer. */
export interface Contact {
  /** When it was last heard of, by the monotonic clock. */
  readonly lastSeenAt: number
  /** The way to it and back, in milliseconds, if it was measured. */
  readonly rttMs?: number
}

/** After how many milliseconds of silence a peer counts as degraded, and as unreachable. */
const degradedAfterMs = 1500
const unreachableAfterMs = 5000

/** The node of an id of 32 bytes: its first 8 bytes, the last of them first. Raises `invalid_input` for fewer. */
export function nodeOfGraphId(id: Uint8Array): NodeId {
  return parseNodeId(Buffer.from(id.slice(0, 8).toReversed()).toString('hex'))
}

/**
 * The probes that most nodes start with: told of every contact with a peer, they say how it is by the time that has passed since,
 * and how long the way was. This node is none of its peers (N-422).
 */
export class ContactProbe {
  readonly locality: LocalityProbe = {
    name: 'contact',
    sample: () =>
      [...this.#contacts].flatMap(([peer, { rttMs }]) => (rttMs === undefined ? [] : [[peer, rttMs] as const])),
  }
  readonly health: HealthProbe = {
    name: 'contact',
    sample: () => [...this.#contacts].map(([peer, { lastSeenAt }]) => [peer, this.#healthSince(lastSeenAt)] as const),
  }
  readonly #thisNode: NodeId
  readonly #clock: Pick<Clock, 'monotonicNow'>
  readonly #contacts = new Map<NodeId, Contact>()

  constructor(thisNode: NodeId, clock: Pick<Clock, 'monotonicNow'>) {
    this.#thisNode = thisNode
    this.#clock = clock
  }

  /** A peer was heard of just now; how long the way was stays what it was unless it is said. */
  heardOf(peer: NodeId, rttMs?: number): void {
    if (peer === this.#thisNode) return
    const rtt = rttMs ?? this.#contacts.get(peer)?.rttMs
    this.#contacts.set(peer, { lastSeenAt: this.#clock.monotonicNow(), ...(rtt !== undefined && { rttMs: rtt }) })
  }

  /** The peer is none any more. */
  forget(peer: NodeId): void {
    this.#contacts.delete(peer)
  }

  #healthSince(lastSeenAt: number): NodeHealth {
    const silentMs = this.#clock.monotonicNow() - lastSeenAt
    if (silentMs >= unreachableAfterMs) return 'unreachable'
    return silentMs >= degradedAfterMs ? 'degraded' : 'healthy'
  }
}
