import type { RunMove } from '../../../machines/run.js'
import { checkParts } from '../attempt.js'
import { TaskError } from '../errors.js'
import type { LeaseCausality } from '../errors/replay.js'
import type { LeaseAction } from '../errors/refusals.js'
import type { EventOf } from '../events.js'
import type { RunId } from '../ids.js'
import type { Draft } from '../projection/draft.js'
import { isTerminalRunState, type Run } from '../run.js'
import { moveTo, selectMove, step, type MoveFacts } from '../run-step.js'
import { known, withRun } from './tasks.js'

/** Inserts a scheduled run and counts it for its task. */
export function runCreated(draft: Draft, { runInstance, sequence }: EventOf<'run_created'>): void {
  const { id, taskId, state, createdAtMs } = runInstance
  if (draft.view.run(id) !== undefined) throw new TaskError('replay_duplicate_event', { sequence, id })
  if (state !== 'scheduled') illegal(sequence, id, `created ${state}`)
  const task = known(draft, taskId, sequence)
  draft.addRun({
    ...runInstance,
    // The task's own copy of the text, so that this event's can go.
    taskId: task.spec.id,
    history: [{ to: state, atMs: createdAtMs }],
    attempts: [],
  })
  draft.put(draft.tables.tasks, taskId, { ...task, progress: withRun(task, runInstance) })
}

/** Moves the run along one of the 17 edges. */
export function runStateChanged(draft: Draft, event: EventOf<'run_state_changed'>): void {
  const run = existing(draft, event)
  if (run.state !== event.previousState) {
    illegal(event.sequence, run.id, `it is ${run.state}, not ${event.previousState}`)
  }
  const move = moveTo(event.newState)
  if (move === undefined) illegal(event.sequence, run.id, `${run.state} to ${event.newState}`)
  advance(draft, event, run, move, event)
}

/** The run gave way and can be resumed. */
export function runSuspended(draft: Draft, event: EventOf<'run_suspended'>): void {
  advance(draft, event, existing(draft, event), { type: 'suspend' }, event)
}

/** A suspended run is ready again. */
export function runResumed(draft: Draft, event: EventOf<'run_resumed'>): void {
  advance(draft, event, existing(draft, event), { type: 'resume' }, event)
}

/** Accepted though no command writes it. */
export function runCancelled(draft: Draft, event: EventOf<'run_cancelled'>): void {
  advance(draft, event, existing(draft, event), { type: 'to_cancelled' }, event)
}

/** Opens an attempt. */
export function attemptStarted(draft: Draft, event: EventOf<'attempt_started'>): void {
  advance(draft, event, existing(draft, event), { type: 'start_attempt', attemptId: event.attemptId }, event)
}

/** Closes the open attempt with its outcome. */
export function attemptFinished(draft: Draft, event: EventOf<'attempt_finished'>): void {
  const { runId: _r, attemptId, atMs, type: _t, version: _v, sequence: _s, ...parts } = event
  const outcome = checkParts(parts)
  advance(draft, event, existing(draft, event), { type: 'finish_attempt', attemptId }, { atMs, outcome })
}

/** Mints a fencing token: the event's sequence. */
export function leaseAcquired(draft: Draft, event: EventOf<'lease_acquired'>): void {
  const { owner, expiresAtMs, sequence } = event
  moveLease(draft, event, 'acquire', { type: 'acquire_lease', lease: { owner, expiresAtMs, fencingToken: sequence } })
}

/** Keeps or raises the expiry. */
export function leaseHeartbeat(draft: Draft, event: EventOf<'lease_heartbeat'>): void {
  moveLease(draft, event, 'heartbeat', { type: 'extend_lease', owner: event.owner, expiresAtMs: event.expiresAtMs })
}

/** Frees the lease; a leased run becomes ready. */
export function leaseExpired(draft: Draft, event: EventOf<'lease_expired'>): void {
  moveLease(draft, event, 'expire', { type: 'close_lease', owner: event.owner, expiresAtMs: event.expiresAtMs })
}

/** Frees the lease; a leased run becomes ready. */
export function leaseReleased(draft: Draft, event: EventOf<'lease_released'>): void {
  moveLease(draft, event, 'release', { type: 'close_lease', owner: event.owner, expiresAtMs: event.expiresAtMs })
}

interface OfRun {
  readonly sequence: number
  readonly runId: RunId
  readonly atMs: number
}

function existing(draft: Draft, { runId, sequence }: OfRun): Run {
  return draft.view.run(runId) ?? illegal(sequence, runId, 'no such run')
}

function advance(draft: Draft, event: OfRun, run: Run, move: RunMove, facts: MoveFacts): void {
  const next = step(run, move, facts)
  if (next === undefined) illegal(event.sequence, run.id, `${move.type} from ${run.state}`)
  put(draft, event, run, next)
}

function put(draft: Draft, { sequence }: OfRun, run: Run, next: Run): void {
  draft.put(draft.tables.runs, run.id, next)
  if (!isTerminalRunState(next.state)) return
  const task = known(draft, run.taskId, sequence)
  const { open, completed, failed } = task.progress
  const progress = {
    ...task.progress,
    open: open - 1,
    completed: completed + (next.state === 'completed' ? 1 : 0),
    failed: failed + (next.state === 'failed' ? 1 : 0),
  }
  draft.put(draft.tables.tasks, run.taskId, { ...task, progress })
}

function moveLease(draft: Draft, event: OfRun, action: LeaseAction, move: RunMove): void {
  const run = draft.view.run(event.runId)
  const next = run && step(run, move, event)
  if (run === undefined || next === undefined) {
    throw new TaskError('replay_lease_causality', {
      sequence: event.sequence,
      runId: event.runId,
      event: action,
      cause: run === undefined ? 'unknown_run' : leaseCausality(run, move),
    })
  }
  put(draft, event, run, next)
}

function leaseCausality(run: Run, move: RunMove): LeaseCausality {
  switch (selectMove(run, move).guard) {
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

function illegal(sequence: number, runId: RunId, reason: string): never {
  throw new TaskError('replay_invalid_transition', { sequence, runId, reason })
}
