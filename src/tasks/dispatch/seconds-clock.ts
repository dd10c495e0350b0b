import type { Clock } from '../../base/clock.js'
import type { Timestamp } from '../scalars.js'

/** Epoch seconds that never run backwards: commands of one authority must not predate one another. */
export function createSecondsClock(clock: Clock): () => Timestamp {
  let latest = 0
  return () => {
    latest = Math.max(latest, Math.floor(clock.wallNow() / 1000))
    return latest
  }
}
