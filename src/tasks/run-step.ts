import type { Selection } from '../../machines/chart-table.js'
import { runChart, type RunMove, type RunPlace } from '../../machines/run.js'
import type { AttemptOutcome, AttemptRecord } from './attempt.js'
import type { Run, RunHistoryEntry, RunLease, RunState } from './run.js'

/** What the log says about a move beside the move itself. */
export interface MoveFacts {
  readonly atMs: number
  /** Belongs to `finish_attempt`. */
  readonly outcome?: AttemptOutcome
  /** Belongs to `suspend`. */
  readonly reason?: string
  /** Belongs to `to_retry_wait`. */
  readonly retryAtMs?: number
}

/** The states in which the chart sees a run. */
export function statesOf({ state, currentAttemptId, lease }: Run): RunPlace['value'] {
  return {
    lifecycle: state,
    attempt: currentAttemptId === undefined ? 'idle' : 'active',
    lease: lease === undefined ? 'free' : 'held',
  }
}

/** The move that leads to a state; nothing leads to `scheduled`. */
export function moveTo(state: RunState): RunMove | undefined {
  return state === 'scheduled' ? undefined : { type: `to_${state}` }
}

/** What the chart says about a move of a run. */
export function selectMove(run: Run, move: RunMove): Selection {
  return runChart.select(placeOf(run, move), move)
}

/** The run after a legal move; `undefined` for an illegal one. */
export function step(run: Run, move: RunMove, facts: MoveFacts): Run | undefined {
  const next = runChart.move(placeOf(run, move), move)
  if (next === undefined) return undefined
  const { value, context } = next
  const { id, taskId, createdAtMs, scheduledAtMs, effectivePriority, lastStateChangeAtMs, history } = run
  const isMoved = value.lifecycle !== run.state
  // Made in one piece: a copy per changed part would be the dearest step of a command.
  const after: { -readonly [Field in keyof Run]: Run[Field] } = {
    id,
    taskId,
    state: value.lifecycle,
    attemptCount: context.attemptCount,
    createdAtMs,
    scheduledAtMs,
    effectivePriority,
    lastStateChangeAtMs: isMoved ? facts.atMs : lastStateChangeAtMs,
    history: isMoved ? [...history, entryOf(run, value.lifecycle, facts)] : history,
    attempts: attemptsAfter(run, move, facts),
  }
  const lease = leaseAfter(run.lease, context.lease, facts)
  const retryAtMs = isMoved ? facts.retryAtMs : run.retryAtMs
  if (context.activeAttemptId !== undefined) after.currentAttemptId = context.activeAttemptId
  if (lease !== undefined) after.lease = lease
  if (retryAtMs !== undefined) after.retryAtMs = retryAtMs
  return after
}

function placeOf(run: Run, move: RunMove): RunPlace {
  const { currentAttemptId, attemptCount, attempts, lease } = run
  return {
    value: statesOf(run),
    context: {
      activeAttemptId: currentAttemptId,
      attemptCount,
      // Only a start compares itself with every attempt there was.
      attemptIds: move.type === 'start_attempt' ? attempts.map(({ attemptId }) => attemptId) : [],
      lease,
    },
  }
}

function entryOf(run: Run, to: RunState, { atMs, reason }: MoveFacts): RunHistoryEntry {
  return { from: run.state, to, atMs, ...(reason !== undefined && { reason }) }
}

/** An attempt that is dropped by cancellation stays unfinished. */
function attemptsAfter({ attempts }: Run, move: RunMove, { atMs, outcome }: MoveFacts): readonly AttemptRecord[] {
  if (move.type === 'start_attempt') return [...attempts, { attemptId: move.attemptId, startedAtMs: atMs }]
  if (move.type !== 'finish_attempt') return attempts
  const open = attempts.at(-1) as AttemptRecord
  return attempts.with(-1, { ...open, finishedAtMs: atMs, ...(outcome !== undefined && { outcome }) })
}

function leaseAfter(
  before: RunLease | undefined,
  held: RunPlace['context']['lease'],
  { atMs }: MoveFacts,
): RunLease | undefined {
  if (held === before) return before
  if (held === undefined) return undefined
  return { ...held, acquiredAtMs: before?.acquiredAtMs ?? atMs, updatedAtMs: atMs }
}
