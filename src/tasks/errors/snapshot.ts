import type { RunId, TaskId } from '../ids.js'

interface OfRun {
  readonly runId: RunId
}

/** Data of every rule a snapshot can break, by code (spec mutation authority 6.6). */
export interface SnapshotErrorData {
  snapshot_schema_version: { readonly expected: number; readonly found: number }
  /** A row came before the header, after the end, or the end is missing. */
  snapshot_incomplete: { readonly reason: string }
  snapshot_task_count: { readonly expected: number; readonly found: number }
  snapshot_run_count: { readonly expected: number; readonly found: number }
  snapshot_duplicate_task: { readonly taskId: TaskId }
  snapshot_cancelled_before_created: { readonly taskId: TaskId }
  snapshot_unknown_parent: { readonly taskId: TaskId }
  snapshot_nil_id: { readonly id: string }
  snapshot_duplicate_run: OfRun
  snapshot_unknown_task: { readonly taskId: TaskId; readonly row: string }
  snapshot_attempt_outside_running: OfRun
  snapshot_attempt_without_count: OfRun
  snapshot_attempt_count: OfRun & { readonly expected: number; readonly found: number }
  snapshot_active_attempt: OfRun
  snapshot_history_start: OfRun
  snapshot_history_chain: OfRun & { readonly index: number }
  snapshot_history_end: OfRun
  snapshot_lease_state: OfRun
  /** A step or an attempt does not follow its run. */
  snapshot_stray_part: OfRun & { readonly row: string }
  snapshot_engine: { readonly reason: string }
  snapshot_duplicate_dependency: { readonly taskId: TaskId }
  snapshot_unknown_prerequisite: { readonly taskId: TaskId; readonly prerequisite: TaskId }
  snapshot_duplicate_budget: { readonly taskId: TaskId; readonly dimension: string }
  snapshot_budget: { readonly taskId: TaskId; readonly dimension: string; readonly reason: string }
  snapshot_duplicate_subscription: { readonly subscriptionId: string }
  /** A row of the other tables is given twice. */
  snapshot_duplicate_row: { readonly row: string; readonly id: string }
}

/** One line for people per code. */
export const snapshotMessages: {
  readonly [Code in keyof SnapshotErrorData]: (data: SnapshotErrorData[Code]) => string
} = {
  snapshot_schema_version: ({ expected, found }) => `snapshot has schema ${found}, this program reads ${expected}`,
  snapshot_incomplete: ({ reason }) => `snapshot is incomplete: ${reason}`,
  snapshot_task_count: ({ expected, found }) => `snapshot announces ${expected} tasks and holds ${found}`,
  snapshot_run_count: ({ expected, found }) => `snapshot announces ${expected} runs and holds ${found}`,
  snapshot_duplicate_task: ({ taskId }) => `snapshot holds task ${taskId} twice`,
  snapshot_cancelled_before_created: ({ taskId }) => `task ${taskId} is cancelled before it was created`,
  snapshot_unknown_parent: ({ taskId }) => `task ${taskId} comes before its parent`,
  snapshot_nil_id: () => 'snapshot holds a nil id',
  snapshot_duplicate_run: ({ runId }) => `snapshot holds run ${runId} twice`,
  snapshot_unknown_task: ({ row, taskId }) => `snapshot ${row} names an unknown task ${taskId}`,
  snapshot_attempt_outside_running: ({ runId }) => `run ${runId} has an active attempt and is not running`,
  snapshot_attempt_without_count: ({ runId }) => `run ${runId} has an active attempt and counts none`,
  snapshot_attempt_count: ({ runId, expected, found }) => `run ${runId} counts ${expected} attempts and holds ${found}`,
  snapshot_active_attempt: ({ runId }) => `run ${runId} does not hold its active attempt once and unfinished`,
  snapshot_history_start: ({ runId }) => `history of run ${runId} does not start with its creation`,
  snapshot_history_chain: ({ runId, index }) => `history of run ${runId} breaks at entry ${index}`,
  snapshot_history_end: ({ runId }) => `history of run ${runId} does not end in its state`,
  snapshot_lease_state: ({ runId }) => `run ${runId} holds a lease in a state that cannot`,
  snapshot_stray_part: ({ row, runId }) => `snapshot row ${row} of run ${runId} does not follow that run`,
  snapshot_engine: ({ reason }) => `engine flags disagree: ${reason}`,
  snapshot_duplicate_dependency: ({ taskId }) => `snapshot declares the dependencies of ${taskId} twice`,
  snapshot_unknown_prerequisite: ({ taskId, prerequisite }) =>
    `task ${taskId} waits for an unknown task ${prerequisite}`,
  snapshot_duplicate_budget: ({ taskId, dimension }) => `snapshot holds the ${dimension} budget of ${taskId} twice`,
  snapshot_budget: ({ taskId, dimension, reason }) =>
    `the ${dimension} budget of ${taskId} does not balance: ${reason}`,
  snapshot_duplicate_subscription: ({ subscriptionId }) => `snapshot holds subscription ${subscriptionId} twice`,
  snapshot_duplicate_row: ({ row, id }) => `snapshot holds ${row} ${id} twice`,
}
