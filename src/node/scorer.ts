import type { ChainId, NodeId } from './ids.js'

/** A node that would hold a chain better. */
export interface ScoredNode {
  readonly node: NodeId
  readonly score: number
}

/** The cost of moving a copy, in milliseconds. */
export interface MigrationCost {
  readonly transferMs: number
  readonly disruptionMs: number
  /** Multiplies the cost; values that are not a number above 0 count as 1. */
  readonly reliabilityFactor?: number
}

/**
 * Scores how well nodes hold chains, as fractions. `undefined` and NaN mean no opinion. Must be synchronous and quick.
 */
export interface Scorer {
  /** How well the node holds the chain; called when scores are sampled. */
  score(chain: ChainId, node: NodeId): number | undefined
  /** The best node that is not excluded. */
  bestAlternative(chain: ChainId, exclude: readonly NodeId[]): ScoredNode | undefined
  /** The current value of `score`: called before a copy is moved. Default: `score`. */
  liveScore?(chain: ChainId, node: NodeId): number | undefined
  /** A text that changes whenever scores of the node may have changed. Default: scores are sampled in every pass. */
  nodeFingerprint?(node: NodeId): string | undefined
  /** The cost of moving a copy of the chain to the node. Default: none. */
  migrationCost?(chain: ChainId, node: NodeId): MigrationCost | undefined
}
