import { callPort, type OnFault } from './probes.js'
import type { Scorer } from './scorer.js'

/** The scorer behind a guard: one that throws, or answers with a promise, has no opinion. Absent methods stay absent. */
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
