import type { NodeId } from './ids.js'
import type { PeerInventory } from './inventory.js'
import type { MaintenanceStatus, MonotonicMs, NodeHealth } from './vocabulary.js'

/** What this node knows about a node, including itself. Every row has every field. */
export interface PeerRow {
  readonly node: NodeId
  readonly rttMs: number | undefined
  readonly health: NodeHealth | undefined
  readonly maintenance: MaintenanceStatus | undefined
  /** Whether it is cordoned and accepts nothing new. */
  readonly isCordoned: boolean
  readonly inventory: PeerInventory | undefined
}

/** A peer that is avoided until an instant. */
export interface AvoidRow {
  readonly peer: NodeId
  readonly reason: string
  readonly until: MonotonicMs
}

/** A node about which nothing is known yet. */
export function newPeer(node: NodeId): PeerRow {
  return Object.freeze({
    node,
    rttMs: undefined,
    health: undefined,
    maintenance: undefined,
    isCordoned: false,
    inventory: undefined,
  })
}

/** Whether nothing is known about it. */
export function isUnknown({ rttMs, health, maintenance, isCordoned, inventory }: PeerRow): boolean {
  return (
    rttMs === undefined && health === undefined && maintenance === undefined && !isCordoned && inventory === undefined
  )
}
