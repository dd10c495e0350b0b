import type { Pass } from './pass.js'

/**
 * Second arm: copies that operators have forced out, requested by the leader of the chain, regardless of anything that
 * would keep them (N-59).
 */
export function reconcileForcedEvictions({ version, thisNode, actions, evicted }: Pass): void {
  for (const { chain, victim } of version.forced.evictions) {
    if (version.chains.get(chain)?.leader !== thisNode || evicted.has(chain)) continue
    actions.push({ type: 'request_eviction', chain, victim })
    evicted.add(chain)
  }
}

/**
 * Third arm: copies that operators have forced onto a node, requested by the leader of the chain, even if the node
 * holds one (N-59).
 */
export function reconcileForcedPlacements({ version, thisNode, actions }: Pass): void {
  for (const { chain, target } of version.forced.placements) {
    const row = version.chains.get(chain)
    if (row?.leader !== thisNode) continue
    const exclude = row.holders.filter((holder) => holder !== target)
    actions.push({ type: 'request_placement', chain, exclude, target })
  }
}
