import { runChart } from '../../../machines/run.js'
import { isNilUuid } from '../../base/ids.js'
import { checkParts } from '../attempt.js'
import { TaskError } from '../errors.js'
import type { AttemptId } from '../ids.js'
import type { Run, RunHistoryEntry } from '../run.js'
import { moveTo, selectMove, statesOf } from '../run-step.js'

/**
 * The rules a stored run must keep (spec mutation authority 6.6); raises the `snapshot_*` code of the first it breaks.
 * Which states go together, and which follows which, the chart says.
 */
export function checkRun(run: Run): void {
  const { id: runId, taskId } = run
  for (const id of [runId, taskId]) if (isNilUuid(id)) throw new TaskError('snapshot_nil_id', { id })
  checkAttempts(run)
  checkHistory(run)
  if (!runChart.isReachable(statesOf(run))) throw new TaskError('snapshot_lease_state', { runId })
}

function checkAttempts(run: Run): void {
  const { id: runId, currentAttemptId, attemptCount, attempts } = run
  if (!runChart.isReachable({ ...statesOf(run), lease: 'free' })) {
    throw new TaskError('snapshot_attempt_outside_running', { runId })
  }
  if (currentAttemptId !== undefined && attemptCount === 0) {
    throw new TaskError('snapshot_attempt_without_count', { runId })
  }
  if (attempts.length !== attemptCount) {
    throw new TaskError('snapshot_attempt_count', { runId, expected: attemptCount, found: attempts.length })
  }
  for (const { outcome } of attempts) if (outcome !== undefined) checkParts(outcome)
  if (currentAttemptId !== undefined && !isOpenAttempt(run, currentAttemptId)) {
    throw new TaskError('snapshot_active_attempt', { runId })
  }
}

/** Whether the last attempt is this one, unfinished, and the chart lets it start after those before it. */
function isOpenAttempt({ currentAttemptId: _, ...run }: Run, attemptId: AttemptId): boolean {
  const open = run.attempts.at(-1)
  if (open?.attemptId !== attemptId || open.finishedAtMs !== undefined) return false
  const before = { ...run, attemptCount: run.attemptCount - 1, attempts: run.attempts.slice(0, -1) }
  return selectMove(before, { type: 'start_attempt', attemptId }).isTaken
}

function checkHistory({ id: runId, state, createdAtMs, history }: Run): void {
  const [first] = history
  if (first?.from !== undefined || first?.to !== 'scheduled' || first.atMs !== createdAtMs) {
    throw new TaskError('snapshot_history_start', { runId })
  }
  const index = history.findIndex((entry, place) => place > 0 && !follows(history[place - 1], entry))
  if (index !== -1) throw new TaskError('snapshot_history_chain', { runId, index })
  if (history.at(-1)?.to !== state) throw new TaskError('snapshot_history_end', { runId })
}

function follows(before: RunHistoryEntry | undefined, { from, to }: RunHistoryEntry): boolean {
  const move = moveTo(to)
  if (from === undefined || from !== before?.to || move === undefined) return false
  return runChart.isPossible({ lifecycle: from, attempt: 'idle', lease: 'free' }, move.type)
}
