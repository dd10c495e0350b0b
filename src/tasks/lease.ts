import { runChart, type RunMove } from '../../machines/run.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { TaskError, type LeaseAction, type LeaseCausality } from './errors.js'
import type { RunId } from './ids.js'
import { checkNotCancelled, putRun, type OfRun, type RunDraft, type RunReads, type RunRows } from './run-commands.js'
import {
  after,
  checkOwner,
  checkToken,
  selectMove,
  statesOf,
  step,
  type SelectedMove,
  type Run,
  type StandingRun,
} from './run.js'
import { fenced, labelSchema, naturalSchema, ofRun } from './scalars.js'
import type { TaskReads } from './task.js'

/** Fields of every command and event about a lease; the owner is not empty. */
const ofLease = { ...ofRun, owner: labelSchema, expiresAtMs: naturalSchema }

const defineEvent = eventDefiner<RunRows, RunReads>()
const defineCommand = commandDefiner<RunReads>()

/** Issues a fencing token: the sequence of the event. */
export const leaseAcquired = defineEvent('lease_acquired', {
  fields: ofLease,
  check: checkOwner,
  evolve: (draft, event, decided?: Run) => {
    const { owner, expiresAtMs, sequence } = event
    moveLease(
      draft,
      event,
      'acquire',
      { type: 'acquire_lease', lease: { owner, expiresAtMs, fencingToken: sequence } },
      decided,
    )
  },
})

/** Keeps or raises the expiry. */
export const leaseHeartbeaten = defineEvent('lease_heartbeat', {
  fields: ofLease,
  evolve: (draft, event, decided?: Run) => {
    moveLease(
      draft,
      event,
      'heartbeat',
      { type: 'extend_lease', owner: event.owner, expiresAtMs: event.expiresAtMs },
      decided,
    )
  },
})

/** Frees the lease; a leased run becomes ready. */
export const leaseExpired = defineEvent('lease_expired', {
  fields: ofLease,
  evolve: (draft, event, decided?: Run) => {
    moveLease(
      draft,
      event,
      'expire',
      { type: 'close_lease', owner: event.owner, expiresAtMs: event.expiresAtMs },
      decided,
    )
  },
})

/** Frees the lease; a leased run becomes ready. */
export const leaseReleased = defineEvent('lease_released', {
  fields: ofLease,
  evolve: (draft, event, decided?: Run) => {
    moveLease(
      draft,
      event,
      'release',
      { type: 'close_lease', owner: event.owner, expiresAtMs: event.expiresAtMs },
      decided,
    )
  },
})

/** Checks: known; ready or leased; none held; task not cancelled. The sequence becomes the fencing token. */
export const leaseAcquire = defineCommand('lease_acquire', {
  fields: ofLease,
  check: checkOwner,
  decide: (view, { runId, owner, expiresAtMs, atMs }, sequence) => {
    const move = { type: 'acquire_lease', lease: { owner, expiresAtMs, fencingToken: sequence } } as const
    const legal = checkAcquire(view, leaseRun(view, runId, 'acquire'), move)
    return {
      ...leaseAcquired.decided(sequence, { runId, owner, expiresAtMs, atMs }, after(legal, { atMs })),
      applied: { type: 'lease_acquire', runId, owner, expiresAtMs, fencingToken: sequence } as const,
    }
  },
})

/** Checks: known; leased or running; held; same owner; expiresAtMs not lower; token if given. */
export const leaseHeartbeat = defineCommand('lease_heartbeat', {
  fields: { ...ofLease, ...fenced },
  check: checkOwner,
  decide: (view, { runId, owner, expiresAtMs, atMs, fencingToken }, sequence) => {
    const run = leaseRun(view, runId, 'heartbeat')
    const legal = checkHeld(run, 'heartbeat', { type: 'extend_lease', owner, expiresAtMs }, fencingToken)
    return {
      ...leaseHeartbeaten.decided(sequence, { runId, owner, expiresAtMs, atMs }, after(legal, { atMs })),
      applied: { type: 'lease_heartbeat', runId, owner, expiresAtMs } as const,
    }
  },
})

/**
 * Checks: known; ready, leased or running; held; same owner; same expiry. The clock is not consulted: the caller
 * decides that it expired.
 */
export const leaseExpire = defineCommand('lease_expire', {
  fields: ofLease,
  check: checkOwner,
  decide: (view, { runId, owner, expiresAtMs, atMs }, sequence) => {
    const legal = checkHeld(
      leaseRun(view, runId, 'expire'),
      'expire',
      { type: 'close_lease', owner, expiresAtMs },
      undefined,
    )
    return {
      ...leaseExpired.decided(sequence, { runId, owner, expiresAtMs, atMs }, after(legal, { atMs })),
      applied: { type: 'lease_expire', runId, owner, expiresAtMs } as const,
    }
  },
})

/** Checks: as for expiry; token if given. */
export const leaseRelease = defineCommand('lease_release', {
  fields: { ...ofLease, ...fenced },
  check: checkOwner,
  decide: (view, { runId, owner, expiresAtMs, atMs, fencingToken }, sequence) => {
    const legal = checkHeld(
      leaseRun(view, runId, 'release'),
      'release',
      { type: 'close_lease', owner, expiresAtMs },
      fencingToken,
    )
    return {
      ...leaseReleased.decided(sequence, { runId, owner, expiresAtMs, atMs }, after(legal, { atMs })),
      applied: { type: 'lease_release', runId, owner, expiresAtMs } as const,
    }
  },
})

type HeldLeaseMove = Extract<RunMove, { readonly type: 'extend_lease' | 'close_lease' }>

/** The move that takes a lease; raises the refusal if it cannot be made. */
export function checkAcquire<Of extends StandingRun>(
  view: TaskReads,
  run: Of,
  move: Extract<RunMove, { readonly type: 'acquire_lease' }>,
): SelectedMove<Of> {
  const { id: runId, state } = run
  const selected = selectMove(run, move)
  if (!selected.selection.isTaken) {
    if (runChart.isPossible({ ...statesOf(run), lease: 'free' }, 'acquire_lease')) {
      throw new TaskError('lease_already_active', { runId })
    }
    throw new TaskError('lease_invalid_run_state', { runId, event: 'acquire', state })
  }
  checkNotCancelled(view, run)
  return selected
}

/** The move that extends or closes a held lease; raises the refusal if it cannot be made. */
export function checkHeld<Of extends StandingRun>(
  run: Of,
  action: LeaseAction,
  move: HeldLeaseMove,
  token: number | undefined,
): SelectedMove<Of> {
  const selected = selectMove(run, move)
  const { isTaken, guard } = selected.selection
  if (!isTaken) throw heldRefusal(run, action, move, guard)
  checkToken(run, token, { isRequired: false })
  return selected
}

function heldRefusal(run: StandingRun, event: LeaseAction, move: HeldLeaseMove, guard: string | undefined): TaskError {
  const { id: runId, state, lease } = run
  if (!runChart.isPossible({ ...statesOf(run), lease: 'held' }, move.type)) {
    return new TaskError('lease_invalid_run_state', { runId, event, state })
  }
  if (lease === undefined) return new TaskError('lease_missing_active', { runId, event })
  const { expiresAtMs: held } = lease
  switch (guard) {
    case 'isHeldByOwner':
      return new TaskError('lease_owner_mismatch', { runId, event })
    case 'isHeldExpiry':
      return new TaskError('lease_expiry_mismatch', {
        runId,
        event,
        expectedExpiresAtMs: held,
        providedExpiresAtMs: move.expiresAtMs,
      })
    default:
      return new TaskError('lease_heartbeat_expiry_regression', {
        runId,
        previousExpiresAtMs: held,
        proposedExpiresAtMs: move.expiresAtMs,
      })
  }
}

function leaseRun(view: RunReads, runId: RunId, event: LeaseAction): Run {
  const run = view.run(runId)
  if (run === undefined) throw new TaskError('lease_unknown_run', { runId, event })
  return run
}

function moveLease(draft: RunDraft, event: OfRun, action: LeaseAction, move: RunMove, decided: Run | undefined): void {
  const run = draft.view.run(event.runId)
  const next = decided ?? (run && step(run, move, event))
  if (run === undefined || next === undefined) {
    throw new TaskError('replay_lease_causality', {
      sequence: event.sequence,
      runId: event.runId,
      event: action,
      cause: run === undefined ? 'unknown_run' : leaseCausality(run, move),
    })
  }
  putRun(draft, event, run, next)
}

function leaseCausality(run: Run, move: RunMove): LeaseCausality {
  switch (selectMove(run, move).selection.guard) {
    case 'isHeldByOwner':
      return 'owner_mismatch'
    case 'isHeldExpiry':
      return 'expiry_mismatch'
    case 'isLaterExpiry':
      return 'non_monotonic_heartbeat_expiry'
    default:
      return leaseStateCausality(run, move)
  }
}

function leaseStateCausality(run: Run, move: RunMove): LeaseCausality {
  if (move.type === 'acquire_lease') return run.lease === undefined ? 'invalid_run_state' : 'lease_already_active'
  return run.lease === undefined ? 'missing_active_lease' : 'invalid_run_state'
}
