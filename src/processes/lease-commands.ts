import { known, type Decided, type DecisionContext, type ProcessCommand, type ProcessRows } from './command.js'
import { ProcessError } from './errors.js'
import {
  decideLease,
  isHeldBy,
  leaseOf,
  type ClaimOutcome,
  type LeaseCompletion,
  type LeaseHolder,
  type LeaseRequest,
  type ProcessLease,
  type StoredLease,
} from './lease.js'
import type { ProcessId } from './scalars.js'

/** Claims the lease of a process by the rules of {@link decideLease}, whatever its status (P-40). */
export function claimCommand(processId: ProcessId, request: LeaseRequest, ttlMs: number): ProcessCommand<ClaimOutcome> {
  return {
    processId,
    decide: (rows, context) => {
      known(processId, rows)
      const { nowMs } = context
      const decision = decideLease(processId, rows.lease, request, { nowMs, ttlMs })
      switch (decision.type) {
        case 'busy':
          return { result: { outcome: 'busy', holder: decision.holder } }
        case 'extend':
          return acquired(processId, extended(rows, decision.expiresAtMs))
        case 'acquire': {
          const { fencingToken, expiresAtMs } = decision
          const holder = { owner: request.owner, leaseToken: context.newToken(), claimedAtMs: nowMs, expiresAtMs }
          return acquired(processId, { fencingToken, holder })
        }
      }
    },
  }
}

/** Extends a lease. Raises `process.lease_superseded` unless it is the current lease (P-42). */
export function renewCommand(lease: ProcessLease, ttlMs: number): ProcessCommand<ProcessLease> {
  return {
    processId: lease.processId,
    decide: (rows, context) => {
      const { processId, fencingToken } = lease
      const decided = renewed(lease, ttlMs, rows, context)
      if (decided === undefined) throw new ProcessError('process.lease_superseded', { processId, fencingToken })
      return decided
    },
  }
}

/** Extends a lease. Returns `undefined`, instead of raising, if it was lost. */
export function tryRenewCommand(lease: ProcessLease, ttlMs: number): ProcessCommand<ProcessLease | undefined> {
  return {
    processId: lease.processId,
    decide: (rows, context) => renewed(lease, ttlMs, rows, context) ?? { result: undefined },
  }
}

/** Releases a lease. If it is not the current lease, nothing happens (P-43). */
export function releaseCommand({ processId, leaseToken }: LeaseCompletion): ProcessCommand<void> {
  return {
    processId,
    decide: ({ lease }) =>
      lease?.holder?.leaseToken === leaseToken
        ? { writes: { lease: { fencingToken: lease.fencingToken } }, result: undefined }
        : { result: undefined },
  }
}

function renewed(
  lease: ProcessLease,
  ttlMs: number,
  rows: ProcessRows,
  { nowMs }: DecisionContext,
): Decided<ProcessLease> | undefined {
  const { processId } = lease
  if (!isHeldBy(processId, rows.lease, lease, nowMs)) return undefined
  const stored = extended(rows, Math.min(nowMs + ttlMs, Number.MAX_SAFE_INTEGER))
  return { writes: { lease: stored }, result: leaseOf(processId, stored) as ProcessLease }
}

function acquired(processId: ProcessId, stored: StoredLease): Decided<ClaimOutcome> {
  return {
    writes: { lease: stored },
    result: { outcome: 'acquired', lease: leaseOf(processId, stored) as ProcessLease },
  }
}

/** The held lease with a new expiry. */
function extended({ lease }: ProcessRows, expiresAtMs: number): StoredLease {
  const { fencingToken, holder } = lease as StoredLease
  return { fencingToken, holder: { ...(holder as LeaseHolder), expiresAtMs } }
}
