import type * as restate from '@restatedev/restate-sdk'
import type { ProcessPlace } from '../../machines/index.js'
import type { LeaseOwner } from '../processes/index.js'
import { keyOf } from './keys.js'
import type { Claim, ClaimRequest } from './wire.js'

/** The execution of a row: who may do its next step, and under which fencing token. */
export interface Execution {
  /** The chart of processes (machines/process.ts) decides what is executed and how often, also for operations. */
  readonly place: ProcessPlace
  readonly fencingToken: number
  readonly owner?: LeaseOwner
  /** True if the token was claimed by an outside worker, not by a run. */
  readonly isOutside?: true
}

/** An execution that has not started. */
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
 * Claims the right to execute. Fencing tokens only grow: each attempt that starts to work gets a new one. The
 * owner of owner-bound work continues with its next step under the same token; nobody, the owner included, starts a
 * step twice. `begin` takes the chart's transition under the next token and raises its refusal.
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
