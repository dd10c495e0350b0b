import type { RunId, TaskId } from '../ids.js'
import type { LeaseAction } from './refusals.js'

/** Why a stored lease event cannot be applied (spec mutation authority 5.2). */
export type LeaseCausality =
  | 'unknown_run'
  | 'invalid_run_state'
  | 'lease_already_active'
  | 'missing_active_lease'
  | 'owner_mismatch'
  | 'expiry_mismatch'
  | 'non_monotonic_heartbeat_expiry'

interface At {
  /** Of the refused event. */
  readonly sequence: number
}

/** Data of every refusal of a stored event, by code (spec mutation authority 5.3). Nothing was changed. */
export interface ReplayErrorData {
  /** The event does not follow the last one. */
  replay_sequence: At & { readonly latest: number }
  /** An event is missing between the last one and this. */
  replay_sequence_gap: At & { readonly expected: number }
  replay_invalid_transition: At & { readonly runId: RunId; readonly reason: string }
  replay_duplicate_event: At & { readonly id: string }
  replay_corrupted_data: At & { readonly reason: string }
  replay_lease_causality: At & { readonly runId: RunId; readonly event: LeaseAction; readonly cause: LeaseCausality }
  replay_task_unknown: At & { readonly taskId: TaskId }
  replay_task_already_cancelled: At & {
    readonly taskId: TaskId
    readonly firstCancelledAtMs: number
    readonly duplicateCancelledAtMs: number
  }
  replay_already_paused: At & { readonly firstPausedAtMs: number | undefined; readonly duplicatePausedAtMs: number }
  replay_not_paused: At & { readonly attemptedResumedAtMs: number }
  replay_resume_before_pause: At & { readonly pausedAtMs: number; readonly resumedAtMs: number }
}

/** One line for people per code. */
export const replayMessages: {
  readonly [Code in keyof ReplayErrorData]: (data: ReplayErrorData[Code]) => string
} = {
  replay_sequence: ({ sequence, latest }) => `event ${sequence} does not follow ${latest}`,
  replay_sequence_gap: ({ sequence, expected }) => `event ${expected} is missing before ${sequence}`,
  replay_invalid_transition: ({ sequence, runId, reason }) =>
    `event ${sequence} is illegal for run ${runId}: ${reason}`,
  replay_duplicate_event: ({ sequence, id }) => `event ${sequence} repeats ${id}`,
  replay_corrupted_data: ({ sequence, reason }) => `event ${sequence} contradicts the log before it: ${reason}`,
  replay_lease_causality: ({ sequence, event, runId, cause }) =>
    `event ${sequence} cannot ${event} a lease on run ${runId}: ${cause}`,
  replay_task_unknown: ({ sequence, taskId }) => `event ${sequence} names an unknown task ${taskId}`,
  replay_task_already_cancelled: ({ sequence, taskId }) => `event ${sequence} cancels task ${taskId} again`,
  replay_already_paused: ({ sequence }) => `event ${sequence} pauses a paused engine`,
  replay_not_paused: ({ sequence }) => `event ${sequence} resumes a running engine`,
  replay_resume_before_pause: ({ sequence }) => `event ${sequence} resumes the engine before it was paused`,
}
