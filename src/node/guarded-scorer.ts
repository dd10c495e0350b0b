import { callPort, type OnFault } from './probes.js'
import type { Scorer } from './scorer.js'

/** The scorer behind a guard: one that throws, or answers with a promise, has no opinion. Absent methods stay absent. */
export function guardedScorer(scorer: Scorer, onFault: OnFault): Scorer {
  const ask = <Answer>(call: () => Answer | undefined): Answer | undefined => callPort('scorer', call, onFault)
  const { liveScore, nodeFingerprint, migrationCost } = scorer
  return {
    score: (...about) => ask(() => scorer.score(...about)),
    bestAlternative: (...about) => ask(() => scorer.bestAlternative(...about)),
    ...(liveScore !== undefined && { liveScore: (...about) => ask(() => liveScore.apply(scorer, about)) }),
    ...(nodeFingerprint !== undefined && {
      nodeFingerprint: (...about) => ask(() => nodeFingerprint.apply(scorer, about)),
    }),
    ...(migrationCost !== undefined && { migrationCost: (...about) => ask(() => migrationCost.apply(scorer, about)) }),
  }
}
