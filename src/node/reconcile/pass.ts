import type { NodeAction } from '../action.js'
import type { ChainId, NodeId } from '../ids.js'
import { isDraining } from '../maintenance.js'
import type { NodeVersion } from '../state.js'

/** The working state of one pass of reconciliation. */
export interface Pass {
  readonly version: NodeVersion
  readonly thisNode: NodeId
  /** The actions it asks for, in order. */
  readonly actions: NodeAction[]
  /** Chains for which an eviction is requested already: at most one per chain and pass. */
  readonly evicted: Set<ChainId>
  /** Nodes that are being emptied. */
  readonly draining: ReadonlySet<NodeId>
  /** Whether this node is one of them. */
  readonly isDraining: boolean
}

/** Starts a pass. */
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
