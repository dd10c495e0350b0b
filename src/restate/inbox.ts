import type * as restate from '@restatedev/restate-sdk'
import type { JsonValue } from '../base/json.js'
import { keyOf } from './keys.js'
import { askSchema, door, signalSchema, type Answer } from './wire.js'

type Context = restate.ObjectContext

/** The signals of one name, and the questions that wait for them. */
interface Inbox {
  readonly count: number
  readonly taken: number
  readonly waiting: readonly string[]
}

/** A signal sent to a row. */
export interface Signal {
  readonly id: string
  readonly name: string
  readonly payload?: JsonValue
}

/** Handlers for signals, shared by all objects with rows. `checkTakes` refuses a row that accepts no signals. */
export function inboxHandlers(checkTakes: (ctx: Context, id: string) => Promise<void>) {
  return {
    /** Asks for the next signal of a name, now or later. The nth question gets the nth signal. */
    ask: door(askSchema, 'question', async (ctx: Context, { id, name, awakeable }) => {
      const key = inboxKey(id, name)
      const inbox = await inboxOf(ctx, key)
      if (inbox.taken === inbox.count) {
        ctx.set(key, { ...inbox, waiting: [...inbox.waiting, awakeable] })
        return
      }
      const taken = inbox.taken + 1
      ctx.resolveAwakeable(awakeable, await ctx.get<Answer>(`${key}/${taken}`))
      ctx.clear(`${key}/${taken}`)
      ctx.set(key, { ...inbox, taken })
    }),
    /** Withdraws a question. False if it was already answered. */
    withdraw: door(askSchema, 'question', async (ctx: Context, { id, name, awakeable }) => {
      const key = inboxKey(id, name)
      const inbox = await inboxOf(ctx, key)
      const waiting = inbox.waiting.filter((one) => one !== awakeable)
      if (waiting.length === inbox.waiting.length) return false
      ctx.set(key, { ...inbox, waiting })
      return true
    }),
    signal: door(signalSchema, 'signal', async (ctx: Context, { id, name, payload }: Signal) => {
      await checkTakes(ctx, id)
      const key = inboxKey(id, name)
      const inbox = await inboxOf(ctx, key)
      const answer: Answer = payload === undefined ? {} : { value: payload }
      const [first, ...waiting] = inbox.waiting
      if (first === undefined) {
        ctx.set(`${key}/${inbox.count + 1}`, answer)
        ctx.set(key, { ...inbox, count: inbox.count + 1 })
      } else {
        ctx.resolveAwakeable(first, answer)
        ctx.set(key, { count: inbox.count + 1, taken: inbox.taken + 1, waiting })
      }
    }),
  }
}

async function inboxOf(ctx: Context, key: string): Promise<Inbox> {
  return (await ctx.get<Inbox>(key)) ?? { count: 0, taken: 0, waiting: [] }
}

const inboxKey = (id: string, name: string): string => keyOf('signal', id, encodeURIComponent(name))
