import type * as restate from '@restatedev/restate-sdk'
import type { Clock } from '../base/clock.js'

/** The instant of a call, in epoch milliseconds: recorded, so that an attempt that is played back decides the same. */
export function nowOf(ctx: restate.ObjectSharedContext, clock: Clock): PromiseLike<number> {
  return ctx.run('now', () => Math.trunc(clock.wallNow()))
}
