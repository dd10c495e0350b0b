import type { AdminEvent } from './admin-event.js'
import type { ChainId, NodeId } from './ids.js'

/** A copy that an operator wants removed. */
export interface ForcedEviction {
  readonly chain: ChainId
  readonly victim: NodeId
}

/** A copy that an operator wants on a node. */
export interface ForcedPlacement {
  readonly chain: ChainId
  readonly target: NodeId
}

/** What operators have forced and no pass has acted on yet, in order. */
export interface ForcedEntries {
  readonly evictions: readonly ForcedEviction[]
  readonly placements: readonly ForcedPlacement[]
}

/** No forced entries. */
export const noneForced: ForcedEntries = Object.freeze({ evictions: Object.freeze([]), placements: Object.freeze([]) })

/** Whether the event adds an entry. */
export function isForcing(event: AdminEvent): boolean {
  return event.type === 'force_evict_replica' || event.type === 'force_cutover'
}

/** How many entries there are. */
export function countForced({ evictions, placements }: ForcedEntries): number {
  return evictions.length + placements.length
}

/** The entries that a pass could not act on: those of chains without a known leader. */
export function leftAfterPass(entries: ForcedEntries, hasLeader: (chain: ChainId) => boolean): ForcedEntries {
  if (countForced(entries) === 0) return entries
  return {
    evictions: entries.evictions.filter(({ chain }) => !hasLeader(chain)),
    placements: entries.placements.filter(({ chain }) => !hasLeader(chain)),
  }
}
