import { fromPromise, type PromiseActorLogic } from 'xstate'
import type { Feed, Sequenced } from '../src/base/feed.js'

/**
 * Resolves with the watermark of the feed once it exceeds the cursor, at once if it already does. Stopping the actor
 * cancels the wait.
 */
export function feedAdvance(feed: Feed<Sequenced>): PromiseActorLogic<number, { readonly cursor: number }> {
  return fromPromise(({ input: { cursor }, signal }) => feed.waitForAdvance(cursor, { signal }))
}
