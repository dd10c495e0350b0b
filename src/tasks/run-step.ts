import { failedCondition, moveFrom, type RunConfiguration } from '../../machines/run-moves.js'
import type { RunCondition, RunContext, RunMove } from '../../machines/run.js'
import type { AttemptOutcome, AttemptRecord } from './attempt.js'
import type { Run, RunState } from './run.js'
import type { Timestamp } from './scalars.js'

/** What the log says about a move beside the move itself. */
export interface MoveFacts {
  readonly timestamp: Timestamp
  /** Belongs to `finish_attempt`. */
  readonly outcome?: AttemptOutcome
  /** Belongs to `suspend`. */
  readonly reason?: string
  /** Belongs to `to_retry_wait`. */
  readonly retryAt?: Timestamp
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
  const moved = next.lifecycle === run.state ? run : withState(run, next.lifecycle, facts)
  return withLease(withAttempt(moved, next, move, facts), next, move, facts)
}

function contextOf(run: Run, move: RunMove): RunContext {
  return {
    activeAttemptId: run.currentAttemptId,
    attemptCount: run.attemptCount,
    attemptIds: move.type === 'start_attempt' ? run.attempts.map(({ attemptId }) => attemptId) : [],
    lease: run.lease,
  }
}

function withState(run: Run, to: RunState, { timestamp, reason, retryAt }: MoveFacts): Run {
  const { retryAt: _, ...rest } = run
  const entry = { from: run.state, to, timestamp, ...(reason !== undefined && { reason }) }
  return {
    ...rest,
    state: to,
    lastStateChangeAt: timestamp,
    history: [...run.history, entry],
    ...(retryAt !== undefined && { retryAt }),
  }
}

function withAttempt(run: Run, next: RunConfiguration, move: RunMove, { timestamp, outcome }: MoveFacts): Run {
  if (move.type === 'start_attempt') {
    return {
      ...run,
      currentAttemptId: move.attemptId,
      attemptCount: run.attemptCount + 1,
      attempts: [...run.attempts, { attemptId: move.attemptId, startedAt: timestamp }],
    }
  }
  if (next.attempt === 'active' || run.currentAttemptId === undefined) return run
  const { currentAttemptId: _, ...idle } = run
  if (move.type !== 'finish_attempt') return idle
  const open = run.attempts.at(-1) as AttemptRecord
  const finished = { ...open, finishedAt: timestamp, ...(outcome !== undefined && { outcome }) }
  return { ...idle, attempts: run.attempts.with(-1, finished) }
}

function withLease(run: Run, next: RunConfiguration, move: RunMove, { timestamp }: MoveFacts): Run {
  if (move.type === 'acquire_lease') {
    return { ...run, lease: { ...move.lease, acquiredAt: timestamp, updatedAt: timestamp } }
  }
  if (run.lease === undefined) return run
  if (move.type === 'extend_lease') {
    return { ...run, lease: { ...run.lease, expiry: move.expiry, updatedAt: timestamp } }
  }
  if (next.lease === 'held') return run
  const { lease: _, ...free } = run
  return free
}
