import type { ChainRow } from '../chain-row.js'
import type { ChainId, NodeId } from '../ids.js'
import { msSince } from '../scalars.js'
import type { Scorer } from '../scorer.js'
import type { NodeVersion } from '../state.js'
import type { MonotonicMs } from '../vocabulary.js'
import type { Scoring } from './scheduler.js'

interface Sample {
  readonly takenAt: MonotonicMs
  /** Of the holders and their fingerprints; `undefined` when the scorer has none. */
  readonly fingerprint: string | undefined
  readonly scores: ReadonlyMap<NodeId, number | undefined>
}

/**
 * Keeps scores between passes, so that a scorer is called only where something may have changed: for chains that are
 * new, whose holders or fingerprints have changed, or whose sample is old (N-64).
 */
export class ScoreSampler {
  readonly #scorer: Scorer
  #samples: ReadonlyMap<ChainId, Sample> = new Map()

  constructor(scorer: Scorer) {
    this.#scorer = scorer
  }

  /** Samples the scores that are due, of the chains that this node leads, and returns the scoring for this pass. */
  sample({ chains, now, configuration }: NodeVersion): Scoring {
    const { thisNode, scheduler } = configuration
    // Samples of chains that are no longer led are dropped.
    const samples = new Map<ChainId, Sample>()
    chains.forEach((row) => {
      if (row.leader !== thisNode || row.holders.length === 0) return
      const fingerprint = this.#fingerprint(row)
      const known = this.#samples.get(row.chain)
      const isFresh =
        known !== undefined &&
        fingerprint !== undefined &&
        known.fingerprint === fingerprint &&
        msSince(known.takenAt, now) < scheduler.decisionIntervalMs
      samples.set(row.chain, isFresh ? known : this.#take(row, fingerprint, now))
    })
    this.#samples = samples
    return { scorer: this.#scorer, sampled: (chain, node) => samples.get(chain)?.scores.get(node) }
  }

  #take({ chain, holders }: ChainRow, fingerprint: string | undefined, takenAt: MonotonicMs): Sample {
    const scores = new Map(holders.map((node) => [node, this.#scorer.score(chain, node)]))
    return { takenAt, fingerprint, scores }
  }

  #fingerprint({ holders }: ChainRow): string | undefined {
    const parts: string[] = []
    for (const node of holders) {
      const print = this.#scorer.nodeFingerprint?.(node)
      if (print === undefined) return undefined
      parts.push(JSON.stringify([node, print]))
    }
    return parts.join()
  }
}
