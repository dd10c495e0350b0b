import type { NodeAction } from '../action.js'
import type { ChainId, NodeId } from '../ids.js'
import { isDraining } from '../maintenance.js'
import type { NodeVersion } from '../state.js'

/** One pass of reconciliation under way. */
export interface Pass {
  readonly version: NodeVersion
  readonly thisNode: NodeId
  /** What it asks for, in order. */
  readonly actions: NodeAction[]
  /** Chains that a copy is asked to leave already: one per chain and pass. */
  readonly evicted: Set<ChainId>
  /** Nodes that are to be empty. */
  readonly draining: ReadonlySet<NodeId>
  /** Whether this node is one of them. */
  readonly isDraining: boolean
}

/** Begins a pass. */
export function beginPass(version: NodeVersion): Pass {
  const draining = new Set<NodeId>()
  version.peers.forEach(({ node, maintenance }) => {
    if (isDraining(maintenance)) draining.add(node)
  })
  return {
    version,
    thisNode: version.configuration.thisNode,
    actions: [],
    evicted: new Set(),
    draining,
    isDraining: isDraining(version.maintenance.value),
  }
}
