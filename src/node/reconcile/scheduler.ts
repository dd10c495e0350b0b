import { isCoolingDown, type ChainRow } from '../chain-row.js'
import type { ChainId, NodeId } from '../ids.js'
import type { MigrationCost, Scorer } from '../scorer.js'
import type { Pass } from './pass.js'

/** How copies are scored: by a scorer, and by earlier samples where there are any. */
export interface Scoring {
  readonly scorer: Scorer
  /** The sampled score of a copy. Default: the scorer is called. */
  readonly sampled?: (chain: ChainId, node: NodeId) => number | undefined
}

/** Tolerance for rounding in the difference of two scores. */
const rounding = 1e-9

/**
 * Seventh arm: for chains that this node leads, the worst copy moves to a node that is clearly better; sorted by chain
 * (N-55 to N-57, N-62 to N-64).
 */
export function reconcilePlacement({ version, thisNode, actions, evicted }: Pass, scoring: Scoring | undefined): void {
  if (scoring === undefined) return
  const { cooldownMs } = version.configuration.scheduler
  version.chains.forEach((row) => {
    const { chain } = row
    if (row.leader !== thisNode || evicted.has(chain) || isCoolingDown(row, version.now, cooldownMs)) return
    const victim = victimOf(row, scoring, version.configuration.scheduler)
    if (victim === undefined) return
    actions.push({ type: 'request_eviction', chain, victim })
    evicted.add(chain)
  })
}

interface Thresholds {
  readonly scoreFloor: number
  readonly hysteresisGap: number
  readonly costPerMs: number
}

function victimOf(
  { chain, holders }: ChainRow,
  { scorer, sampled = (id, node) => scorer.score(id, node) }: Scoring,
  { scoreFloor, hysteresisGap, costPerMs }: Thresholds,
): NodeId | undefined {
  const worst = worstOf(holders, (node) => sampled(chain, node))
  if (worst === undefined || worst.score >= scoreFloor) return undefined
  const { node } = worst
  // A sample may be outdated; the decision to move uses the live score.
  const live = opinion(scorer.liveScore === undefined ? scorer.score(chain, node) : scorer.liveScore(chain, node))
  if (live === undefined || live >= scoreFloor) return undefined
  const alternative = scorer.bestAlternative(chain, holders)
  if (alternative === undefined || opinion(alternative.score) === undefined) return undefined
  const gain = alternative.score - live
  if (gain <= hysteresisGap + rounding) return undefined
  const cost = costOf(scorer.migrationCost?.(chain, alternative.node), costPerMs)
  return gain - cost > rounding ? node : undefined
}

/** The copy with the lowest score; among equals the node with the smallest id. */
function worstOf(
  holders: readonly NodeId[],
  scoreOf: (node: NodeId) => number | undefined,
): { readonly node: NodeId; readonly score: number } | undefined {
  let worst: { readonly node: NodeId; readonly score: number } | undefined
  for (const node of holders) {
    const score = opinion(scoreOf(node))
    if (score !== undefined && (worst === undefined || score < worst.score)) worst = { node, score }
  }
  return worst
}

/** NaN counts as no opinion. */
function opinion(score: number | undefined): number | undefined {
  return Number.isNaN(score) ? undefined : score
}

function costOf(cost: MigrationCost | undefined, costPerMs: number): number {
  if (cost === undefined) return 0
  const { transferMs, disruptionMs, reliabilityFactor = 1 } = cost
  const weight = Number.isFinite(reliabilityFactor) && reliabilityFactor > 0 ? reliabilityFactor : 1
  return costPerMs * (transferMs + disruptionMs) * weight
}
