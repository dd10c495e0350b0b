import * as restate from '@restatedev/restate-sdk'
import type { RetryPolicy } from './retry.js'
import { sessionService, type SessionObject } from './session.js'
import { door, nextSchema, type FeedPage } from './wire.js'

/** The name under which the feeds of sessions are followed. */
export const feedService = 'stateward_feed'

const session = { name: sessionService } as SessionObject

/** Follows the feeds of sessions: one call that is answered when the feed is longer than a cursor. */
export function feedTail(retryPolicy: RetryPolicy) {
  return restate.service({
    name: feedService,
    handlers: {
      next: door(
        nextSchema,
        'page',
        async (ctx: restate.Context, { session: key, after, limit }): Promise<FeedPage> => {
          const { id, promise } = ctx.awakeable<number>()
          ctx.objectSendClient(session, key).waiting({ awakeable: id, after })
          await promise
          return ctx.objectClient(session, key).since({ after, limit })
        },
      ),
    },
    options: { retryPolicy, journalRetention: 0 },
  })
}

/** What the tail of a worker is called by. */
export type FeedTail = ReturnType<typeof feedTail>
