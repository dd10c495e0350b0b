import type { AttemptOutcome } from '../attempt-outcome.js'
import type { AttemptId, RunId, TaskId } from '../ids.js'

/** Who runs what, under which lease. */
export interface AttemptIdentity {
  readonly runId: RunId
  readonly taskId: TaskId
  readonly attemptId: AttemptId
  readonly fencingToken: number
}

/** Why a run is put aside; stands in its history. */
export type SuspendReason =
  | 'handler'
  | 'requested'
  /** It is spent: the run waits for a replenishment. */
  | 'budget_exhausted'
  /** Others have set it aside: the run is ready again at once and waits for that. */
  | 'budget_reserved'
  | 'shutdown'
  /** All it did was wait: it goes on when the wait is over. */
  | 'waiting'

/** How an attempt ended, for the batch that finishes it. */
export interface AttemptReport {
  readonly outcome: AttemptOutcome
  /** Comes with a suspended outcome. */
  readonly suspendReason?: SuspendReason
  /** False when the attempt ended without its handler: what it has spent is then not known. */
  readonly isAnswered: boolean
  /** Milliseconds before the next attempt, where its handler has said so. */
  readonly retryAfterMs?: number
}
