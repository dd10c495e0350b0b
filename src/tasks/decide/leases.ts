import { runChart, type RunMove } from '../../../machines/run.js'
import type { CommandOf } from '../commands.js'
import { TaskError } from '../errors.js'
import type { LeaseAction } from '../errors/refusals.js'
import type { RunId } from '../ids.js'
import type { Run } from '../run.js'
import { selectMove, statesOf } from '../run-step.js'
import type { TaskView } from '../view.js'
import { fact, type Decision } from './decision.js'
import { checkToken } from './fencing.js'
import { checkNotCancelled } from './runs.js'

/** Checks: known; ready or leased; none held; task not cancelled. The sequence becomes the fencing token. */
export function leaseAcquire(
  view: TaskView,
  { runId, owner, expiresAtMs, atMs }: CommandOf<'lease_acquire'>,
  sequence: number,
): Decision<'lease_acquire'> {
  const run = leaseRun(view, runId, 'acquire')
  const move: RunMove = { type: 'acquire_lease', lease: { owner, expiresAtMs, fencingToken: sequence } }
  if (!selectMove(run, move).isTaken) {
    if (runChart.isPossible({ ...statesOf(run), lease: 'free' }, 'acquire_lease')) {
      throw new TaskError('lease_already_active', { runId })
    }
    throw new TaskError('lease_invalid_run_state', { runId, event: 'acquire', state: run.state })
  }
  checkNotCancelled(view, run)
  return {
    event: fact(sequence, 'lease_acquired', { runId, owner, expiresAtMs, atMs }),
    applied: { type: 'lease_acquire', runId, owner, expiresAtMs, fencingToken: sequence },
  }
}

/** Checks: known; leased or running; held; same owner; expiresAtMs not lower; token if given. */
export function leaseHeartbeat(
  view: TaskView,
  { runId, owner, expiresAtMs, atMs, fencingToken }: CommandOf<'lease_heartbeat'>,
  sequence: number,
): Decision<'lease_heartbeat'> {
  checkHeld(view, runId, 'heartbeat', { type: 'extend_lease', owner, expiresAtMs }, fencingToken)
  return {
    event: fact(sequence, 'lease_heartbeat', { runId, owner, expiresAtMs, atMs }),
    applied: { type: 'lease_heartbeat', runId, owner, expiresAtMs },
  }
}

/** Checks: known; ready, leased or running; held; same owner; same expiry. */
export function leaseExpire(
  view: TaskView,
  { runId, owner, expiresAtMs, atMs }: CommandOf<'lease_expire'>,
  sequence: number,
): Decision<'lease_expire'> {
  checkHeld(view, runId, 'expire', { type: 'close_lease', owner, expiresAtMs })
  return {
    event: fact(sequence, 'lease_expired', { runId, owner, expiresAtMs, atMs }),
    applied: { type: 'lease_expire', runId, owner, expiresAtMs },
  }
}

/** Checks: as for expiry; token if given. */
export function leaseRelease(
  view: TaskView,
  { runId, owner, expiresAtMs, atMs, fencingToken }: CommandOf<'lease_release'>,
  sequence: number,
): Decision<'lease_release'> {
  checkHeld(view, runId, 'release', { type: 'close_lease', owner, expiresAtMs }, fencingToken)
  return {
    event: fact(sequence, 'lease_released', { runId, owner, expiresAtMs, atMs }),
    applied: { type: 'lease_release', runId, owner, expiresAtMs },
  }
}

type HeldLeaseMove = Extract<RunMove, { readonly type: 'extend_lease' | 'close_lease' }>

function checkHeld(view: TaskView, runId: RunId, event: LeaseAction, move: HeldLeaseMove, token?: number): void {
  const run = leaseRun(view, runId, event)
  const { isTaken, guard } = selectMove(run, move)
  if (!isTaken) throw heldRefusal(run, event, move, guard)
  checkToken(run, token, { isRequired: false })
}

function heldRefusal(run: Run, event: LeaseAction, move: HeldLeaseMove, guard: string | undefined): TaskError {
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

function leaseRun(view: TaskView, runId: RunId, event: LeaseAction): Run {
  const run = view.run(runId)
  if (run === undefined) throw new TaskError('lease_unknown_run', { runId, event })
  return run
}
