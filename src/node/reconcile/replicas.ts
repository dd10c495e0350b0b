import type { NodeAction } from '../action.js'
import type { ChainRow } from '../chain-row.js'
import type { Pass } from './pass.js'

/**
 * Fourth arm: the copies that this node should hold itself, then the number of copies of the chains that it leads; both
 * sorted by chain (N-48 to N-50).
 */
export function reconcileReplicas(pass: Pass): void {
  const counts: NodeAction[] = []
  const { version, thisNode, actions, draining } = pass
  // While a node drains, a number of copies that was sufficient may no longer be.
  const chains = draining.size === 0 ? version.unsettledChains : version.chains
  chains.forEach((row) => {
    if (row.localIntent !== undefined) local(pass, row, actions)
    if (row.leader === thisNode && row.desiredReplicas !== undefined) count(pass, row, row.desiredReplicas, counts)
  })
  for (const action of counts) actions.push(action)
}

function local({ version, thisNode, isDraining }: Pass, row: ChainRow, actions: NodeAction[]): void {
  const isHeld = row.holders.includes(thisNode)
  if (row.localIntent === 'drop') {
    if (isHeld) actions.push({ type: 'drop_replica', chain: row.chain })
  } else if (!isHeld && !isDraining && !version.isCordoned) {
    const source = row.holders.find((holder) => holder !== thisNode)
    if (source !== undefined) actions.push({ type: 'pull_replica', chain: row.chain, source })
  }
}

/** Copies on draining nodes do not count, and are removed once there are enough others. */
function count({ draining, evicted }: Pass, row: ChainRow, desired: number, actions: NodeAction[]): void {
  const { chain, holders } = row
  const leaving = draining.size === 0 ? [] : holders.filter((holder) => draining.has(holder))
  const staying = holders.length - leaving.length
  if (staying < desired) {
    actions.push({ type: 'request_placement', chain, exclude: holders })
    return
  }
  const victim = leaving[0] ?? (staying > desired ? holders[0] : undefined)
  if (victim === undefined || evicted.has(chain)) return
  actions.push({ type: 'request_eviction', chain, victim })
  evicted.add(chain)
}
