import { setTimeout as sleep } from 'node:timers/promises'
import { appearanceOf } from '../../directory-appearance.js'

/** Milliseconds between two checks of a directory. */
const lookPauseMs = 250

/** Yields at once, and then whenever the directory has changed, until the signal aborts. */
export async function* changesOf(directory: string, signal: AbortSignal): AsyncIterable<void> {
  let seen: string | undefined
  while (!signal.aborted) {
    const appearance = await appearanceOf(directory)
    if (appearance !== seen) yield
    // Anything written while the consumer handled the last change counts as a new change.
    seen = appearance
    try {
      await sleep(lookPauseMs, undefined, { signal })
    } catch {
      return
    }
  }
}
