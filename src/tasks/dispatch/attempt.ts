import type { AttemptOutcome } from '../attempt.js'
import type { AttemptId, RunId, TaskId } from '../ids.js'

/** Who runs what, under which lease. */
export interface AttemptIdentity {
  readonly runId: RunId
  readonly taskId: TaskId
  readonly attemptId: AttemptId
  readonly fencingToken: number
}

/** Why a run is put aside; stands in its history. */
export type SuspendReason = 'handler' | 'requested' | 'budget_exhausted' | 'shutdown'

/** How an attempt ended, for the batch that finishes it. */
export interface AttemptReport {
  readonly outcome: AttemptOutcome
  /** Comes with a suspended outcome. */
  readonly suspendReason?: SuspendReason
  /** False when the attempt ended without its handler: what it has spent is then not known. */
  readonly isAnswered: boolean
}
