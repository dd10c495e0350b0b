import { failedCondition, moveFrom, type RunConfiguration } from '../../machines/run-moves.js'
import type { RunCondition, RunContext, RunMove } from '../../machines/run.js'
import type { AttemptOutcome, AttemptRecord } from './attempt.js'
import type { Run, RunHistoryEntry, RunLease, RunState } from './run.js'
import type { Timestamp } from './scalars.js'

/** What the log says about a move beside the move itself. */
export interface MoveFacts {
  readonly timestamp: Timestamp
  /** Belongs to `finish_attempt`. */
  readonly outcome?: AttemptOutcome
  /** Belongs to `suspend`. */
  readonly reason?: string
  /** Belongs to `to_retry_wait`. */
  readonly retryAtMs?: number
}

/** Where the chart sees a run. */
export function configurationOf({ state, currentAttemptId, lease }: Run): RunConfiguration {
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

/** Why a move is illegal for a run: its states, or the data that disagrees. */
export function refusedBy(run: Run, move: RunMove): 'states' | RunCondition | undefined {
  if (moveFrom(configurationOf(run), move.type) === undefined) return 'states'
  return failedCondition(contextOf(run, move), move)
}

/** The run after a legal move; `undefined` for an illegal one. */
export function step(run: Run, move: RunMove, facts: MoveFacts): Run | undefined {
  const next = moveFrom(configurationOf(run), move.type)
  if (next === undefined || failedCondition(contextOf(run, move), move) !== undefined) return undefined
  const { id, taskId, attemptCount, createdAt, scheduledAt, effectivePriority, lastStateChangeAt, history } = run
  const isMoved = next.lifecycle !== run.state
  // Made in one piece: a copy per changed part would be the dearest step of a command.
  const after: { -readonly [Field in keyof Run]: Run[Field] } = {
    id,
    taskId,
    state: next.lifecycle,
    attemptCount: move.type === 'start_attempt' ? attemptCount + 1 : attemptCount,
    createdAt,
    scheduledAt,
    effectivePriority,
    lastStateChangeAt: isMoved ? facts.timestamp : lastStateChangeAt,
    history: isMoved ? [...history, entryOf(run, next.lifecycle, facts)] : history,
    attempts: attemptsAfter(run, move, facts),
  }
  const currentAttemptId = move.type === 'start_attempt' ? move.attemptId : run.currentAttemptId
  const lease = leaseAfter(run, move, facts)
  const retryAtMs = isMoved ? facts.retryAtMs : run.retryAtMs
  if (next.attempt === 'active' && currentAttemptId !== undefined) after.currentAttemptId = currentAttemptId
  if (next.lease === 'held' && lease !== undefined) after.lease = lease
  if (retryAtMs !== undefined) after.retryAtMs = retryAtMs
  return after
}

function contextOf(run: Run, move: RunMove): RunContext {
  return {
    activeAttemptId: run.currentAttemptId,
    attemptCount: run.attemptCount,
    attemptIds: move.type === 'start_attempt' ? run.attempts.map(({ attemptId }) => attemptId) : [],
    lease: run.lease,
  }
}

function entryOf(run: Run, to: RunState, { timestamp, reason }: MoveFacts): RunHistoryEntry {
  return { from: run.state, to, timestamp, ...(reason !== undefined && { reason }) }
}

/** An attempt that is dropped by cancelation stays unfinished. */
function attemptsAfter({ attempts }: Run, move: RunMove, { timestamp, outcome }: MoveFacts): readonly AttemptRecord[] {
  if (move.type === 'start_attempt') return [...attempts, { attemptId: move.attemptId, startedAt: timestamp }]
  if (move.type !== 'finish_attempt') return attempts
  const open = attempts.at(-1) as AttemptRecord
  return attempts.with(-1, { ...open, finishedAt: timestamp, ...(outcome !== undefined && { outcome }) })
}

function leaseAfter({ lease }: Run, move: RunMove, { timestamp }: MoveFacts): RunLease | undefined {
  if (move.type === 'acquire_lease') return { ...move.lease, acquiredAt: timestamp, updatedAt: timestamp }
  if (move.type !== 'extend_lease') return lease
  return lease && { ...lease, expiry: move.expiry, updatedAt: timestamp }
}
