import * as restate from '@restatedev/restate-sdk'
import { messageOf } from '../base/errors.js'
import type { OperationOutcome } from '../../machines/index.js'
import { waitForAllSchema, type CompletionPage } from './session-wire.js'
import type { ProcessObject } from './process-object.js'
import type { RetryPolicy } from './retry.js'
import { sessionService, waitService } from './services.js'
import type { SessionObject } from './session-object.js'
import { door, endOfSchema, nextSchema, refusalIn, type FeedPage } from './wire.js'

const session = { name: sessionService } as SessionObject

/** Waits that do not block any row: each is a separate call, answered once what it waits for exists. */
export function waits(retryPolicy: RetryPolicy) {
  return restate.service({
    name: waitService,
    handlers: {
      /** The rows of a feed after a position, once there is one. */
      next: door(
        nextSchema,
        'page',
        async (ctx: restate.Context, { service, key, after, limit }): Promise<FeedPage | CompletionPage> => {
          // Every object with a feed is asked in the same way.
          const rows = { name: service } as ProcessObject
          const { id, promise } = ctx.awakeable<number>()
          ctx.objectSendClient(rows, key).waiting({ awakeable: id, after })
          await promise
          return ctx.objectClient(rows, key).since({ after, limit })
        },
      ),
      /** Answers once a process or an operation has ended. */
      end: door(endOfSchema, 'wait', async (ctx: restate.Context, { service, key, id: watched }): Promise<void> => {
        const rows = { name: service } as ProcessObject
        const { id: awakeable, promise } = ctx.awakeable()
        await ctx.objectClient(rows, key).watchEnd({ id: watched, awakeable })
        await promise
      }),
      /** How these operations of a session ended, once all have, in the order of the ids. */
      all: door(
        waitForAllSchema,
        'wait',
        async (ctx: restate.Context, { session: key, ids }): Promise<readonly OperationOutcome[]> => {
          const ends = ids.map((id) => ({ member: id, ...ctx.awakeable<OperationOutcome>() }))
          const members = ends.map(({ member, id: awakeable }) => ({ id: member, awakeable }))
          try {
            await ctx.objectClient(session, key).watch({ members })
          } catch (thrown) {
            throw refusalIn(messageOf(thrown)) ?? thrown
          }
          return restate.RestatePromise.all(ends.map(({ promise }) => promise))
        },
      ),
    },
    options: { retryPolicy, journalRetention: 0 },
  })
}
