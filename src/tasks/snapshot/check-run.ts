import { moveFrom } from '../../../machines/run-moves.js'
import { isNilUuid } from '../../base/ids.js'
import { checkParts } from '../attempt.js'
import { TaskError } from '../errors.js'
import type { Run, RunHistoryEntry, RunState } from '../run.js'
import { moveTo } from '../run-step.js'

/** States in which a run can hold a lease. */
const leasableStates: ReadonlySet<RunState> = new Set(['ready', 'leased', 'running'])

/** The rules a stored run must keep (spec mutation authority 6.6); raises the `snapshot_*` code of the first it breaks. */
export function checkRun(run: Run): void {
  const { id: runId, taskId, state, lease } = run
  for (const id of [runId, taskId]) if (isNilUuid(id)) throw new TaskError('snapshot_nil_id', { id })
  checkAttempts(run)
  checkHistory(run)
  if (lease !== undefined && !leasableStates.has(state)) throw new TaskError('snapshot_lease_state', { runId })
}

function checkAttempts({ id: runId, state, currentAttemptId, attemptCount, attempts }: Run): void {
  if (currentAttemptId !== undefined && state !== 'running') {
    throw new TaskError('snapshot_attempt_outside_running', { runId })
  }
  if (currentAttemptId !== undefined && attemptCount === 0) {
    throw new TaskError('snapshot_attempt_without_count', { runId })
  }
  if (attempts.length !== attemptCount) {
    throw new TaskError('snapshot_attempt_count', { runId, expected: attemptCount, found: attempts.length })
  }
  for (const { outcome } of attempts) if (outcome !== undefined) checkParts(outcome)
  if (currentAttemptId === undefined) return
  const own = attempts.filter(({ attemptId }) => attemptId === currentAttemptId)
  if (own.length !== 1 || own[0]?.finishedAt !== undefined) throw new TaskError('snapshot_active_attempt', { runId })
}

function checkHistory({ id: runId, state, createdAt, history }: Run): void {
  const [first] = history
  if (first?.from !== undefined || first?.to !== 'scheduled' || first.timestamp !== createdAt) {
    throw new TaskError('snapshot_history_start', { runId })
  }
  const index = history.findIndex((entry, place) => place > 0 && !follows(history[place - 1], entry))
  if (index !== -1) throw new TaskError('snapshot_history_chain', { runId, index })
  if (history.at(-1)?.to !== state) throw new TaskError('snapshot_history_end', { runId })
}

function follows(before: RunHistoryEntry | undefined, { from, to }: RunHistoryEntry): boolean {
  const move = moveTo(to)
  if (from === undefined || from !== before?.to || move === undefined) return false
  return moveFrom({ lifecycle: from, attempt: 'idle', lease: 'free' }, move.type) !== undefined
}
