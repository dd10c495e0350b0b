import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { checkFencing } from '../state/lease.js'
import { ProcessError } from './errors.js'
import { idSchema, keySchema, naturalSchema, positiveSchema, type ProcessId } from './scalars.js'

/**
 * The owner of a lease: a stable name and the id of one running incarnation. Two owners with both ids equal are the
 * same incarnation.
 */
export interface LeaseOwner {
  readonly ownerId: string
  readonly incarnationId: string
  /** For the liveness check of the store only. Default `opaque`. */
  readonly liveness?:
    | { readonly type: 'opaque' }
    | {
        readonly type: 'local_process'
        readonly hostId: string
        readonly bootId: string
        readonly pid: number
        readonly processStart: string
      }
}

/** The right of one owner to work on a process until `expiresAtMs`. Every write of its work carries the lease. */
export interface ProcessLease {
  readonly schemaVersion: 2
  readonly processId: ProcessId
  readonly owner: LeaseOwner
  /** New with every acquisition. Only compared for equality. */
  readonly leaseToken: string
  /** Grows with every acquisition, and survives a release. */
  readonly fencingToken: number
  readonly claimedAtMs: number
  /** The lease is expired from this instant on (epoch milliseconds). */
  readonly expiresAtMs: number
}

/** The stored lease of a process: its fencing token, and the holder if there is one. */
export interface StoredLease {
  readonly fencingToken: number
  readonly holder?: LeaseHolder
}

/** The holder of a lease. */
export interface LeaseHolder {
  readonly owner: LeaseOwner
  readonly leaseToken: string
  readonly claimedAtMs: number
  readonly expiresAtMs: number
}

/** The result of a claim. `busy` carries the live lease that prevents it. */
export type ClaimOutcome =
  | { readonly outcome: 'acquired'; readonly lease: ProcessLease }
  | { readonly outcome: 'busy'; readonly holder: ProcessLease }

/** Identifies the lease to release. */
export interface LeaseCompletion {
  readonly processId: ProcessId
  readonly leaseToken: string
}

/** How long a lease lasts and how often it is renewed, in milliseconds. */
export interface LeaseTimings {
  readonly ttlMs: number
  readonly renewIntervalMs: number
}

/** Whether the holder of a live lease is known to be dead. If the store cannot know, the answer is false. */
export type LivenessCheck = (holder: ProcessLease, claimant: LeaseOwner) => boolean

/** The check of a store that knows nothing about its clients: a lease is freed only when it expires. */
export const neverDead: LivenessCheck = () => false

/** The shape of a {@link LeaseOwner}. */
export const ownerSchema: v.GenericSchema<unknown, LeaseOwner> = strictSchema({
  ownerId: idSchema,
  incarnationId: idSchema,
  liveness: v.exactOptional(
    v.variant('type', [
      strictSchema({ type: v.literal('opaque') }),
      strictSchema({
        type: v.literal('local_process'),
        hostId: idSchema,
        bootId: idSchema,
        pid: positiveSchema,
        processStart: idSchema,
      }),
    ]),
  ),
})

/** The shape of a {@link ProcessLease}. */
export const leaseSchema: v.GenericSchema<unknown, ProcessLease> = strictSchema({
  schemaVersion: v.literal(2),
  processId: idSchema,
  owner: ownerSchema,
  leaseToken: keySchema,
  fencingToken: positiveSchema,
  claimedAtMs: naturalSchema,
  expiresAtMs: naturalSchema,
})

/** The shape of a {@link LeaseCompletion}. A whole lease is accepted, too. */
export const leaseCompletionSchema: v.GenericSchema<unknown, LeaseCompletion> = v.object({
  processId: idSchema,
  leaseToken: keySchema,
})

/** The shape of a {@link StoredLease}. */
export const storedLeaseSchema: v.GenericSchema<unknown, StoredLease> = strictSchema({
  fencingToken: positiveSchema,
  holder: v.exactOptional(
    strictSchema({ owner: ownerSchema, leaseToken: keySchema, claimedAtMs: naturalSchema, expiresAtMs: naturalSchema }),
  ),
})

/** The default timings: 30 seconds, renewed every 10 seconds. */
export const defaultLeaseTimings: LeaseTimings = Object.freeze({ ttlMs: 30_000, renewIntervalMs: 10_000 })

/**
 * Raises `process.lease_timings_invalid` unless a lease lasts at least three renewal intervals, so that it survives two
 * failed renewals.
 */
export function checkLeaseTimings({ ttlMs, renewIntervalMs }: LeaseTimings): LeaseTimings {
  const refuse = (field: string, reason: string): never => {
    throw new ProcessError('process.lease_timings_invalid', { field, reason })
  }
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1) refuse('ttlMs', `${ttlMs} is no number of milliseconds from 1`)
  if (!Number.isSafeInteger(renewIntervalMs) || renewIntervalMs < 1) {
    refuse('renewIntervalMs', `${renewIntervalMs} is no number of milliseconds from 1`)
  }
  if (ttlMs < 3 * renewIntervalMs) refuse('ttlMs', `${ttlMs} is less than three times ${renewIntervalMs}`)
  return { ttlMs, renewIntervalMs }
}

/** Timings for a lease of this length, renewed after each third of it. Raises like {@link checkLeaseTimings}. */
export function leaseTimingsFromTtl(ttlMs: number): LeaseTimings {
  return checkLeaseTimings({ ttlMs, renewIntervalMs: Math.floor(ttlMs / 3) })
}

/** A request for the lease of a process. */
export type LeaseRequest =
  | { readonly type: 'claim'; readonly owner: LeaseOwner }
  /** `isDead` says whether the observed holder is known to be dead. */
  | {
      readonly type: 'reclaim'
      readonly owner: LeaseOwner
      readonly observed: ProcessLease
      readonly isDead: LivenessCheck
    }

/** How a request for a lease is decided. */
export type LeaseDecision =
  /** The claimant already holds it: token and fencing token stay, the expiry is new. */
  | { readonly type: 'extend'; readonly expiresAtMs: number }
  | { readonly type: 'busy'; readonly holder: ProcessLease }
  /** A new acquisition with this fencing token. */
  | { readonly type: 'acquire'; readonly fencingToken: number; readonly expiresAtMs: number }

/**
 * Decides a claim or reclaim by table 2.6 (P-40), whatever the status of the process.
 *
 * Raises `process.fencing_overflow` if there is no higher fencing token.
 */
export function decideLease(
  processId: ProcessId,
  stored: StoredLease | undefined,
  request: LeaseRequest,
  { nowMs, ttlMs }: { readonly nowMs: number; readonly ttlMs: number },
): LeaseDecision {
  const expiresAtMs = Math.min(nowMs + ttlMs, Number.MAX_SAFE_INTEGER)
  const holder = liveHolder(processId, stored, nowMs)
  if (holder === undefined) return acquire(processId, stored, expiresAtMs)
  if (request.type === 'claim') {
    return isSameIncarnation(holder.owner, request.owner) ? { type: 'extend', expiresAtMs } : { type: 'busy', holder }
  }
  const { observed, owner, isDead } = request
  const isObserved =
    observed.processId === processId &&
    isSameIncarnation(observed.owner, holder.owner) &&
    observed.leaseToken === holder.leaseToken &&
    observed.fencingToken === holder.fencingToken
  return isObserved && isDead(holder, owner) ? acquire(processId, stored, expiresAtMs) : { type: 'busy', holder }
}

/**
 * Whether a presented lease is the current one (P-41): its token, incarnation and fencing token match the stored ones,
 * it is not expired, and it is for this process. Each condition catches a case that the others miss.
 */
export function isHeldBy(
  processId: ProcessId,
  stored: StoredLease | undefined,
  presented: ProcessLease,
  nowMs: number,
): boolean {
  const holder = liveHolder(processId, stored, nowMs)
  return (
    holder !== undefined &&
    checkFencing(stored, presented.fencingToken, { isRequired: true }) === 'permitted' &&
    presented.processId === processId &&
    presented.leaseToken === holder.leaseToken &&
    isSameIncarnation(presented.owner, holder.owner)
  )
}

/** Raises `process.lease_superseded` unless this is the current lease. */
export function checkHeld(
  processId: ProcessId,
  stored: StoredLease | undefined,
  presented: ProcessLease,
  nowMs: number,
): void {
  if (isHeldBy(processId, stored, presented, nowMs)) return
  throw new ProcessError('process.lease_superseded', { processId, fencingToken: presented.fencingToken })
}

/** The stored lease, expired or not, as its holder has it. `undefined` if it has no holder. */
export function leaseOf(processId: ProcessId, stored: StoredLease | undefined): ProcessLease | undefined {
  const holder = stored?.holder
  return stored && holder && { schemaVersion: 2, processId, fencingToken: stored.fencingToken, ...holder }
}

/** True if both ids are equal. */
export function isSameIncarnation(one: LeaseOwner, other: LeaseOwner): boolean {
  return one.ownerId === other.ownerId && one.incarnationId === other.incarnationId
}

function liveHolder(processId: ProcessId, stored: StoredLease | undefined, nowMs: number): ProcessLease | undefined {
  const lease = leaseOf(processId, stored)
  return lease !== undefined && lease.expiresAtMs > nowMs ? lease : undefined
}

function acquire(processId: ProcessId, stored: StoredLease | undefined, expiresAtMs: number): LeaseDecision {
  const fencingToken = (stored?.fencingToken ?? 0) + 1
  if (!Number.isSafeInteger(fencingToken)) throw new ProcessError('process.fencing_overflow', { processId })
  return { type: 'acquire', fencingToken, expiresAtMs }
}
