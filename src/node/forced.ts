import type { AdminEvent } from './admin-event.js'
import type { ChainId, NodeId } from './ids.js'

/** A copy that an operator wants gone. */
export interface ForcedEviction {
  readonly chain: ChainId
  readonly victim: NodeId
}

/** Where an operator wants a copy. */
export interface ForcedPlacement {
  readonly chain: ChainId
  readonly target: NodeId
}

/** What operators have forced and no pass could act on yet, in the order in which they did. */
export interface ForcedEntries {
  readonly evictions: readonly ForcedEviction[]
  readonly placements: readonly ForcedPlacement[]
}

/** Nothing is forced. */
export const noneForced: ForcedEntries = Object.freeze({ evictions: Object.freeze([]), placements: Object.freeze([]) })

/** Whether the event adds an entry. */
export function isForcing(event: AdminEvent): boolean {
  return event.type === 'force_evict_replica' || event.type === 'force_cutover'
}

/** How many entries there are. */
export function countForced({ evictions, placements }: ForcedEntries): number {
  return evictions.length + placements.length
}

/** The entries that a pass has left: those of chains without a known leader. */
export function leftAfterPass(entries: ForcedEntries, hasLeader: (chain: ChainId) => boolean): ForcedEntries {
  if (countForced(entries) === 0) return entries
  return {
    evictions: entries.evictions.filter(({ chain }) => !hasLeader(chain)),
    placements: entries.placements.filter(({ chain }) => !hasLeader(chain)),
  }
}
