import { runChart } from '../../machines/run.js'
import { commandDefiner } from '../state/command.js'
import { eventDefiner } from '../state/event.js'
import { checkParts, outcomeEntries, outcomeSchema } from './attempt-outcome.js'
import { TaskError } from './errors.js'
import type { AttemptId } from './ids.js'
import { advanceRun, checkNotCancelled, type RunReads, type RunRows } from './run-commands.js'
import { after, checkToken, selectMove, statesOf, type SelectedMove, type Run, type StandingRun } from './run.js'
import { fenced, ofAttempt } from './scalars.js'
import type { TaskReads } from './task.js'

const defineEvent = eventDefiner<RunRows, RunReads>()
const defineCommand = commandDefiner<RunReads>()

/** Opens an attempt. */
export const attemptStarted = defineEvent('attempt_started', {
  fields: ofAttempt,
  evolve: (draft, event, decided?: Run) => {
    advanceRun(draft, event, { type: 'start_attempt', attemptId: event.attemptId }, event, decided)
  },
})

/** Closes the open attempt with its outcome. */
export const attemptFinished = defineEvent('attempt_finished', {
  fields: { ...ofAttempt, ...outcomeEntries },
  evolve: (draft, event, decided?: Run) => {
    const { runId: _r, attemptId, atMs, type: _t, version: _v, sequence: _s, ...parts } = event
    advanceRun(draft, event, { type: 'finish_attempt', attemptId }, { atMs, outcome: checkParts(parts) }, decided)
  },
})

/** Checks: run known; running; no attempt open; task not cancelled; token; id never used; count. */
export const attemptStart = defineCommand('attempt_start', {
  fields: { ...ofAttempt, ...fenced },
  decide: (view, { runId, attemptId, fencingToken, atMs }, sequence) => {
    const run = view.run(runId)
    if (run === undefined) throw new TaskError('attempt_start_unknown_run', { runId })
    const legal = checkStart(view, run, { attemptId, fencingToken })
    return {
      ...attemptStarted.decided(sequence, { runId, attemptId, atMs }, after(legal, { atMs })),
      applied: { type: 'attempt_start', runId, attemptId } as const,
    }
  },
})

/** Checks: run known; running; an attempt open; the same attempt; token. */
export const attemptFinish = defineCommand('attempt_finish', {
  fields: { ...ofAttempt, ...fenced, outcome: outcomeSchema },
  check: ({ outcome }) => void checkParts(outcome),
  decide: (view, { runId, attemptId, outcome, fencingToken, atMs }, sequence) => {
    const legal = checkFinish(attemptRun(view, runId), { attemptId, fencingToken })
    return {
      ...attemptFinished.decided(sequence, { runId, attemptId, ...outcome, atMs }, after(legal, { atMs, outcome })),
      applied: { type: 'attempt_finish', runId, attemptId, outcome } as const,
    }
  },
})

/** The attempt that a command names, and its fencing token. */
interface Claim {
  readonly attemptId: AttemptId
  readonly fencingToken?: number | undefined
}

/** The move that starts an attempt; raises the refusal if it cannot be made. */
export function checkStart<Of extends StandingRun>(
  view: TaskReads,
  run: Of,
  { attemptId, fencingToken }: Claim,
): SelectedMove<Of> {
  const { id: runId, state } = run
  const selected = selectMove(run, { type: 'start_attempt', attemptId })
  const { isTaken, guard } = selected.selection
  if (guard === 'isRunning') throw new TaskError('attempt_start_requires_running', { runId, state })
  if (!isTaken && guard === undefined && run.currentAttemptId !== undefined) {
    throw new TaskError('attempt_start_already_active', { runId, activeAttemptId: run.currentAttemptId })
  }
  checkNotCancelled(view, run)
  checkToken(run, fencingToken, { isRequired: true })
  if (guard === 'isFreshAttempt') throw new TaskError('attempt_id_reused', { runId, attemptId })
  if (!isTaken) throw new TaskError('attempt_count_overflow', { runId })
  return selected
}

/** The move that finishes an attempt; raises the refusal if it cannot be made. */
export function checkFinish<Of extends StandingRun>(run: Of, { attemptId, fencingToken }: Claim): SelectedMove<Of> {
  const selected = selectMove(run, { type: 'finish_attempt', attemptId })
  if (!selected.selection.isTaken) throw finishRefusal(run, attemptId)
  checkToken(run, fencingToken, { isRequired: true })
  return selected
}

/** The run whose attempt is to end; raises `attempt_finish_unknown_run`. */
export function attemptRun(view: RunReads, runId: Run['id']): Run {
  const run = view.run(runId)
  if (run === undefined) throw new TaskError('attempt_finish_unknown_run', { runId })
  return run
}

function finishRefusal(run: StandingRun, providedAttemptId: AttemptId): TaskError {
  const { id: runId, state, currentAttemptId: expectedAttemptId } = run
  if (!runChart.isPossible({ ...statesOf(run), attempt: 'active' }, 'finish_attempt')) {
    return new TaskError('attempt_finish_requires_running', { runId, state })
  }
  if (expectedAttemptId === undefined) return new TaskError('attempt_finish_missing_active', { runId })
  return new TaskError('attempt_finish_attempt_mismatch', { runId, expectedAttemptId, providedAttemptId })
}
