import { runChart } from '../../../machines/run.js'
import type { CommandOf } from '../commands.js'
import { TaskError } from '../errors.js'
import type { AttemptId } from '../ids.js'
import type { Run } from '../run.js'
import { selectMove, statesOf } from '../run-step.js'
import type { TaskView } from '../view.js'
import { fact, type Decision } from './decision.js'
import { checkToken } from './fencing.js'
import { checkNotCancelled } from './runs.js'

/** Checks: known; running; none open; task not cancelled; token; id never used; count. */
export function attemptStart(
  view: TaskView,
  command: CommandOf<'attempt_start'>,
  sequence: number,
): Decision<'attempt_start'> {
  const { runId, attemptId, atMs } = command
  const run = view.run(runId)
  if (run === undefined) throw new TaskError('attempt_start_unknown_run', { runId })
  const { isTaken, guard } = selectMove(run, { type: 'start_attempt', attemptId })
  if (guard === 'isRunning') throw new TaskError('attempt_start_requires_running', { runId, state: run.state })
  if (!isTaken && guard === undefined && run.currentAttemptId !== undefined) {
    throw new TaskError('attempt_start_already_active', { runId, activeAttemptId: run.currentAttemptId })
  }
  checkNotCancelled(view, run)
  checkToken(run, command.fencingToken, { isRequired: true })
  if (guard === 'isFreshAttempt') throw new TaskError('attempt_id_reused', { runId, attemptId })
  if (!isTaken) throw new TaskError('attempt_count_overflow', { runId })
  return {
    event: fact(sequence, 'attempt_started', { runId, attemptId, atMs }),
    applied: { type: 'attempt_start', runId, attemptId },
  }
}

/** Checks: known; running; one open; the same; token. */
export function attemptFinish(
  view: TaskView,
  command: CommandOf<'attempt_finish'>,
  sequence: number,
): Decision<'attempt_finish'> {
  const { runId, attemptId, outcome, atMs } = command
  const run = view.run(runId)
  if (run === undefined) throw new TaskError('attempt_finish_unknown_run', { runId })
  const { isTaken } = selectMove(run, { type: 'finish_attempt', attemptId })
  if (!isTaken) throw finishRefusal(run, attemptId)
  checkToken(run, command.fencingToken, { isRequired: true })
  return {
    event: fact(sequence, 'attempt_finished', { runId, attemptId, ...outcome, atMs }),
    applied: { type: 'attempt_finish', runId, attemptId, outcome },
  }
}

function finishRefusal(run: Run, providedAttemptId: AttemptId): TaskError {
  const { id: runId, state, currentAttemptId: expectedAttemptId } = run
  if (!runChart.isPossible({ ...statesOf(run), attempt: 'active' }, 'finish_attempt')) {
    return new TaskError('attempt_finish_requires_running', { runId, state })
  }
  if (expectedAttemptId === undefined) return new TaskError('attempt_finish_missing_active', { runId })
  return new TaskError('attempt_finish_attempt_mismatch', { runId, expectedAttemptId, providedAttemptId })
}
