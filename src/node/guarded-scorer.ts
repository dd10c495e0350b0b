import { callPort, type OnFault } from './probes.js'
import type { Scorer } from './scorer.js'

/**
 * Wraps a scorer so that one that throws, or returns a promise, counts as having no opinion. Missing methods stay
 * missing.
 */
export function guardedScorer(scorer: Scorer, onFault: OnFault): Scorer {
  const ask = <Answer>(call: () => Answer | undefined): Answer | undefined => callPort('scorer', call, onFault)
  return {
    score: (...about) => ask(() => scorer.score(...about)),
    bestAlternative: (...about) => ask(() => scorer.bestAlternative(...about)),
    ...(scorer.liveScore !== undefined && { liveScore: (...about) => ask(() => scorer.liveScore?.(...about)) }),
    ...(scorer.nodeFingerprint !== undefined && {
      nodeFingerprint: (...about) => ask(() => scorer.nodeFingerprint?.(...about)),
    }),
    ...(scorer.migrationCost !== undefined && {
      migrationCost: (...about) => ask(() => scorer.migrationCost?.(...about)),
    }),
  }
}
