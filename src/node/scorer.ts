import type { ChainId, NodeId } from './ids.js'

/** Another node that would hold a chain better. */
export interface ScoredNode {
  readonly node: NodeId
  readonly score: number
}

/** What moving a copy costs, in milliseconds. */
export interface MigrationCost {
  readonly transferMs: number
  readonly disruptionMs: number
  /** Multiplies the cost; 1 when it is no number above 0. */
  readonly reliabilityFactor?: number
}

/** Says how well nodes hold chains, in fractions. `undefined` and NaN are no opinion. Synchronous and quick. */
export interface Scorer {
  /** How well the node holds the chain; asked when a sample is taken. */
  score(chain: ChainId, node: NodeId): number | undefined
  /** The best node that is none of these. */
  bestAlternative(chain: ChainId, exclude: readonly NodeId[]): ScoredNode | undefined
  /** The same as `score`, right now: asked before a copy is moved. Default: `score`. */
  liveScore?(chain: ChainId, node: NodeId): number | undefined
  /** A text that changes whenever scores of the node may change. Default: scores are taken anew at every pass. */
  nodeFingerprint?(node: NodeId): string | undefined
  /** What moving a copy of the chain to the node costs. Default: nothing. */
  migrationCost?(chain: ChainId, node: NodeId): MigrationCost | undefined
}
