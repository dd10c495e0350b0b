import type { AttemptOutcome } from '../attempt-outcome.js'
import type { AttemptId, RunId, TaskId } from '../ids.js'

/** Identifies an attempt and its lease. */
export interface AttemptIdentity {
  readonly runId: RunId
  readonly taskId: TaskId
  readonly attemptId: AttemptId
  readonly fencingToken: number
}

/** Why a run is suspended; recorded in its history. */
export type SuspendReason =
  | 'handler'
  | 'requested'
  /** The budget is spent: the run waits for a replenishment. */
  | 'budget_exhausted'
  /** Others have reserved the rest of the budget: the run is ready again at once and waits for that. */
  | 'budget_reserved'
  | 'shutdown'
  /** The attempt did nothing but wait: the run goes on when the wait is over. */
  | 'waiting'

/** How an attempt ended, for the batch that finishes it. */
export interface AttemptReport {
  readonly outcome: AttemptOutcome
  /** Only with a suspended outcome. */
  readonly suspendReason?: SuspendReason
  /** False when the attempt ended before its handler did: what it has spent is then unknown. */
  readonly isAnswered: boolean
  /** Milliseconds before the next attempt, if its handler asked for a delay. */
  readonly retryAfterMs?: number
}
