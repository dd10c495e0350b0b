import { moveFrom } from '../../../machines/run-moves.js'
import type { RunMove } from '../../../machines/run.js'
import type { CommandOf } from '../commands.js'
import { TaskError } from '../errors.js'
import type { RunId } from '../ids.js'
import type { Run, RunState } from '../run.js'
import { configurationOf, moveTo } from '../run-step.js'
import type { TaskView } from '../view.js'
import { fact, type Decision } from './decision.js'
import { checkToken } from './fencing.js'
import { knownTask } from './tasks.js'

/** Checks: task known; run not known; scheduled; task not canceled; no attempts yet. */
export function runCreate(view: TaskView, command: CommandOf<'run_create'>, sequence: number): Decision<'run_create'> {
  const { runInstance } = command
  const { id: runId, taskId, state, attemptCount, currentAttemptId, createdAt, lastStateChangeAt } = runInstance
  const task = knownTask(view, taskId)
  if (view.run(runId) !== undefined) throw new TaskError('run_already_exists', { runId })
  if (state !== 'scheduled') throw new TaskError('run_create_requires_scheduled', { runId, state })
  if (task.canceledAt !== undefined) throw new TaskError('task_already_canceled', { taskId })
  if (attemptCount > 0 || currentAttemptId !== undefined || lastStateChangeAt !== createdAt) {
    throw new TaskError('run_create_requires_unstarted', { runId, attemptCount })
  }
  return {
    event: fact(sequence, 'run_created', { runInstance }),
    applied: { type: 'run_create', runId, taskId },
  }
}

/** Checks: known; declared state; edge; task not canceled; token; no attempt open; no lease left behind. */
export function runStateTransition(
  view: TaskView,
  command: CommandOf<'run_state_transition'>,
  sequence: number,
): Decision<'run_state_transition'> {
  const { runId, previousState, newState, retryAtMs, timestamp } = command
  const run = knownRun(view, runId)
  if (run.state !== previousState) {
    throw new TaskError('previous_state_mismatch', { runId, expected: previousState, actual: run.state })
  }
  const move = moveTo(newState)
  if (
    move === undefined ||
    moveFrom({ lifecycle: run.state, attempt: 'idle', lease: 'free' }, move.type) === undefined
  ) {
    throw new TaskError('invalid_transition', { runId, from: run.state, to: newState })
  }
  if (startsWork(newState)) checkNotCanceled(view, run)
  checkToken(run, command.fencingToken, { isRequired: newState !== 'canceled' })
  checkRegions(run, move)
  return {
    event: fact(sequence, 'run_state_changed', {
      runId,
      previousState,
      newState,
      ...(retryAtMs !== undefined && { retryAtMs }),
      timestamp,
    }),
    applied: { type: 'run_state_transition', runId, previousState, newState },
  }
}

/** Checks: known; running; token; no attempt open; no lease left behind. */
export function runSuspend(
  view: TaskView,
  command: CommandOf<'run_suspend'>,
  sequence: number,
): Decision<'run_suspend'> {
  const { runId, reason, timestamp } = command
  const run = knownRun(view, runId)
  if (moveFrom({ lifecycle: run.state, attempt: 'idle', lease: 'free' }, 'suspend') === undefined) {
    throw new TaskError('run_suspend_requires_running', { runId, state: run.state })
  }
  checkToken(run, command.fencingToken, { isRequired: true })
  checkRegions(run, { type: 'suspend' })
  return {
    event: fact(sequence, 'run_suspended', { runId, ...(reason !== undefined && { reason }), timestamp }),
    applied: { type: 'run_suspend', runId },
  }
}

/** Checks: known; suspended; task not canceled. */
export function runResume(view: TaskView, command: CommandOf<'run_resume'>, sequence: number): Decision<'run_resume'> {
  const { runId, timestamp } = command
  const run = knownRun(view, runId)
  if (moveFrom(configurationOf(run), 'resume') === undefined) {
    throw new TaskError('run_resume_requires_suspended', { runId, state: run.state })
  }
  checkNotCanceled(view, run)
  return {
    event: fact(sequence, 'run_resumed', { runId, timestamp }),
    applied: { type: 'run_resume', runId },
  }
}

/** The run; raises `unknown_run`. */
export function knownRun(view: TaskView, runId: RunId): Run {
  const run = view.run(runId)
  if (run === undefined) throw new TaskError('unknown_run', { runId })
  return run
}

/** Raises `run_of_canceled_task`. */
export function checkNotCanceled(view: TaskView, { id: runId, taskId }: Run): void {
  if (view.task(taskId)?.canceledAt !== undefined) throw new TaskError('run_of_canceled_task', { runId, taskId })
}

function startsWork(state: RunState): boolean {
  return state === 'ready' || state === 'leased' || state === 'running'
}

/** Names the region that keeps a legal edge closed, by asking the chart what the others would allow. */
function checkRegions(run: Run, move: RunMove): void {
  const from = configurationOf(run)
  if (moveFrom(from, move.type) !== undefined) return
  if (run.currentAttemptId !== undefined && moveFrom({ ...from, lease: 'free' }, move.type) === undefined) {
    throw new TaskError('attempt_still_active', { runId: run.id, activeAttemptId: run.currentAttemptId })
  }
  throw new TaskError('lease_still_held', { runId: run.id, owner: run.lease?.owner ?? '' })
}
