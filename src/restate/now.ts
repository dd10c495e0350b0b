import type * as restate from '@restatedev/restate-sdk'
import type { Clock } from '../base/clock.js'

/** The time of a call, in epoch milliseconds. It is recorded, so that a replayed attempt makes the same decisions. */
export function nowOf(ctx: restate.ObjectSharedContext, clock: Clock): PromiseLike<number> {
  return ctx.run('now', () => Math.trunc(clock.wallNow()))
}
