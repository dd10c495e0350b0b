import type * as restate from '@restatedev/restate-sdk'
import type { Clock } from '../base/clock.js'
import { atOnce, type Answers, type Asks } from './at-once.js'

/** The time of a call, in epoch milliseconds, or the request for it. */
export type CallTime = number | (() => PromiseLike<number>)

/**
 * Asks for the time of a call. It is recorded, so that a replayed attempt makes the same decisions. Does nothing
 * before it is called.
 */
export function nowOf(ctx: restate.ObjectSharedContext, clock: Clock): () => PromiseLike<number> {
  return () => ctx.run('now', () => Math.trunc(clock.wallNow()))
}

/** The time of a call, and the answers to other requests that are made at once with it. */
export async function withNow<const Asked extends Asks>(
  time: CallTime,
  ...asks: Asked
): Promise<readonly [number, Answers<Asked>]> {
  if (typeof time === 'number') return [time, await atOnce(...asks)]
  const [now, ...answers] = await atOnce(time, ...asks)
  return [now, answers]
}
