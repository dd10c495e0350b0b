import { runChart } from '../../../machines/run.js'
import type { Selection } from '../../../machines/chart-table.js'
import type { CommandOf } from '../commands.js'
import { TaskError } from '../errors.js'
import type { RunId } from '../ids.js'
import type { Run } from '../run.js'
import { moveTo, selectMove, statesOf } from '../run-step.js'
import type { TaskView } from '../view.js'
import { fact, type Decision } from './decision.js'
import { checkToken } from './fencing.js'
import { knownTask } from './tasks.js'

/** Checks: task known; run not known; scheduled; task not cancelled; no attempts yet. */
export function runCreate(view: TaskView, command: CommandOf<'run_create'>, sequence: number): Decision<'run_create'> {
  const { runInstance } = command
  const { id: runId, taskId, state, attemptCount, currentAttemptId, createdAtMs, lastStateChangeAtMs } = runInstance
  const task = knownTask(view, taskId)
  if (view.run(runId) !== undefined) throw new TaskError('run_already_exists', { runId })
  if (state !== 'scheduled') throw new TaskError('run_create_requires_scheduled', { runId, state })
  if (task.cancelledAtMs !== undefined) throw new TaskError('task_already_cancelled', { taskId })
  if (attemptCount > 0 || currentAttemptId !== undefined || lastStateChangeAtMs !== createdAtMs) {
    throw new TaskError('run_create_requires_unstarted', { runId, attemptCount })
  }
  return {
    event: fact(sequence, 'run_created', { runInstance }),
    applied: { type: 'run_create', runId, taskId },
  }
}

/** Checks: known; declared state; edge; task not cancelled; token; no attempt open; no lease left behind. */
export function runStateTransition(
  view: TaskView,
  command: CommandOf<'run_state_transition'>,
  sequence: number,
): Decision<'run_state_transition'> {
  const { runId, previousState, newState, retryAtMs, atMs } = command
  const run = knownRun(view, runId)
  if (run.state !== previousState) {
    throw new TaskError('previous_state_mismatch', { runId, expected: previousState, actual: run.state })
  }
  const move = moveTo(newState)
  const selection = move && selectMove(run, move)
  if (selection === undefined || isUnheard(selection)) {
    throw new TaskError('invalid_transition', { runId, from: run.state, to: newState })
  }
  if (runChart.hasTag({ ...statesOf(run), lifecycle: newState }, 'work')) checkNotCancelled(view, run)
  checkToken(run, command.fencingToken, { isRequired: newState !== 'cancelled' })
  checkRegions(run, selection)
  return {
    event: fact(sequence, 'run_state_changed', {
      runId,
      previousState,
      newState,
      ...(retryAtMs !== undefined && { retryAtMs }),
      atMs,
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
  const { runId, reason, atMs } = command
  const run = knownRun(view, runId)
  const selection = selectMove(run, { type: 'suspend' })
  if (isUnheard(selection)) {
    throw new TaskError('run_suspend_requires_running', { runId, state: run.state })
  }
  checkToken(run, command.fencingToken, { isRequired: true })
  checkRegions(run, selection)
  return {
    event: fact(sequence, 'run_suspended', { runId, ...(reason !== undefined && { reason }), atMs }),
    applied: { type: 'run_suspend', runId },
  }
}

/** Checks: known; suspended; task not cancelled. */
export function runResume(view: TaskView, command: CommandOf<'run_resume'>, sequence: number): Decision<'run_resume'> {
  const { runId, atMs } = command
  const run = knownRun(view, runId)
  if (!selectMove(run, { type: 'resume' }).isTaken) {
    throw new TaskError('run_resume_requires_suspended', { runId, state: run.state })
  }
  checkNotCancelled(view, run)
  return {
    event: fact(sequence, 'run_resumed', { runId, atMs }),
    applied: { type: 'run_resume', runId },
  }
}

/** The run; raises `unknown_run`. */
export function knownRun(view: TaskView, runId: RunId): Run {
  const run = view.run(runId)
  if (run === undefined) throw new TaskError('unknown_run', { runId })
  return run
}

/** Raises `run_of_cancelled_task`. */
export function checkNotCancelled(view: TaskView, { id: runId, taskId }: Run): void {
  if (view.task(taskId)?.cancelledAtMs !== undefined) throw new TaskError('run_of_cancelled_task', { runId, taskId })
}

/** True when no state of the run listens to the move, whatever the data. */
function isUnheard({ isTaken, guard }: Selection): boolean {
  return !isTaken && guard === undefined
}

/** Raises the refusal of an edge that exists but is kept closed, by the guard that keeps it so. */
function checkRegions({ id: runId, currentAttemptId, lease }: Run, { isTaken, guard }: Selection): void {
  if (isTaken) return
  if (guard === 'isAttemptIdle' && currentAttemptId !== undefined) {
    throw new TaskError('attempt_still_active', { runId, activeAttemptId: currentAttemptId })
  }
  throw new TaskError('lease_still_held', { runId, owner: lease?.owner ?? '' })
}
