import type { Clock } from '../base/clock.js'
import { parseNodeId, type NodeId } from './ids.js'
import type { HealthProbe, LocalityProbe } from './probes.js'
import type { NodeHealth } from './vocabulary.js'

/** What is known of the contact with one peer. */
export interface Contact {
  /** The last contact, by the monotonic clock. */
  readonly lastSeenAt: number
  /** Round-trip time in milliseconds, if it was measured. */
  readonly rttMs?: number
}

/** The milliseconds of silence after which a peer is degraded, and unreachable. */
const degradedAfterMs = 1500
const unreachableAfterMs = 5000

/** The node with a 32-byte id: its first 8 bytes in reverse order. Raises `invalid_input` for fewer bytes. */
export function nodeOfGraphId(id: Uint8Array): NodeId {
  return parseNodeId(Buffer.from(id.slice(0, 8).toReversed()).toString('hex'))
}

/**
 * The probes that most nodes start with. Report every contact with a peer; they derive its health from the time since
 * then, and its locality from the round-trip time. This node itself is never a peer (N-422).
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

  /** Reports a contact with a peer. Without `rttMs` the last round-trip time is kept. */
  heardOf(peer: NodeId, rttMs?: number): void {
    if (peer === this.#thisNode) return
    const rtt = rttMs ?? this.#contacts.get(peer)?.rttMs
    this.#contacts.set(peer, { lastSeenAt: this.#clock.monotonicNow(), ...(rtt !== undefined && { rttMs: rtt }) })
  }

  /** Removes a peer. */
  forget(peer: NodeId): void {
    this.#contacts.delete(peer)
  }

  #healthSince(lastSeenAt: number): NodeHealth {
    const silentMs = this.#clock.monotonicNow() - lastSeenAt
    if (silentMs >= unreachableAfterMs) return 'unreachable'
    return silentMs >= degradedAfterMs ? 'degraded' : 'healthy'
  }
}
