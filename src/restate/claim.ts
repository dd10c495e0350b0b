import type * as restate from '@restatedev/restate-sdk'
import type { ProcessPlace } from '../../machines/index.js'
import type { LeaseOwner } from '../processes/index.js'
import { keyOf } from './keys.js'
import type { Claim, ClaimRequest } from './wire.js'

/** The execution of a row: who may do the next step of it, and under which token. */
export interface Execution {
  /** What is executed, and how often, is decided by the chart of processes (machines/process.ts), of operations too. */
  readonly place: ProcessPlace
  readonly fencingToken: number
  readonly owner?: LeaseOwner
  /** True when its token was claimed by somebody who is not a run of it. */
  readonly isOutside?: true
}

/** An execution that nobody has begun. */
export function unstarted(disposition: 'rerunnable' | 'owner_bound', maxAttempts: number | undefined): Execution {
  const context = {
    disposition,
    maxAttempts,
    start: undefined,
    hasExternalRef: false,
    hasAbandonRequest: false,
  }
  return { place: { value: { lifecycle: { running: 'active' }, execution: 'unstarted' }, context }, fencingToken: 0 }
}

/**
 * A token that only grows, one for each attempt that comes to do something. The owner of what is bound to it goes on to
 * its next step under the same token; nobody, itself included, begins a step twice. `begin` follows the chart under the next
 * token and raises what it refuses.
 */
export async function claimExecution<Held extends Execution>(
  ctx: restate.ObjectContext,
  held: Held,
  { id, owner, step, isOutside }: ClaimRequest,
  begin: (fencingToken: number) => ProcessPlace | Promise<ProcessPlace>,
): Promise<{ readonly claim: Claim; readonly held: Held }> {
  const { disposition, start: started } = held.place.context
  const begunKey = keyOf('begun', id, step)
  if (disposition === 'owner_bound' && started !== undefined) {
    const isOwner = held.owner !== undefined && isSame(held.owner, owner)
    if (isOwner && (await ctx.get(begunKey)) === null) {
      ctx.set(begunKey, true)
      return { claim: started, held }
    }
  }
  const fencingToken = held.fencingToken + 1
  const place = await begin(fencingToken)
  if (disposition === 'owner_bound') ctx.set(begunKey, true)
  const { isOutside: _, ...rest } = held
  const claimed = { ...rest, place, fencingToken, owner, ...(isOutside && { isOutside }) } as Held
  return { claim: { fencingToken, attempt: place.context.start?.attempt ?? 1 }, held: claimed }
}

function isSame(one: LeaseOwner, other: LeaseOwner): boolean {
  return one.ownerId === other.ownerId && one.incarnationId === other.incarnationId
}
