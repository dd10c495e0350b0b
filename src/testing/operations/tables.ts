/** The tables of O-18, O-25, O-26 and O-27, written a second time so that the oracle does not depend on the product. */

import type { OperationAction, OperationKind, OperationStatus } from '../../../machines/operation-vocabulary.js'

/** Statuses of an operation that has not ended. */
export const live: readonly string[] = ['provisioning', 'running', 'retiring']

/** Final statuses. */
export const terminal: readonly string[] = ['completed', 'failed', 'aborted', 'cancelled', 'retired', 'terminated']

/** The public result of each status (O-26, O-27). */
export const publicResults: Readonly<Record<OperationStatus, string>> = {
  provisioning: 'running',
  running: 'running',
  retiring: 'running',
  completed: 'completed',
  failed: 'failed',
  terminated: 'failed',
  aborted: 'cancelled',
  cancelled: 'cancelled',
  retired: 'cancelled',
}

/** O-25: the statuses in which repeating an action counts as success. */
export const repeats: Readonly<Partial<Record<OperationAction, readonly string[]>>> = {
  start: ['running'],
  retire_requested: ['retiring', ...terminal],
  retire_completed: terminal,
  peer_ready: terminal,
  progress_reported: terminal,
  abort: terminal,
}

type TransitionTable = Readonly<Record<OperationStatus, Partial<Record<OperationAction, OperationStatus>>>>

/** The legal transitions (O-18); a missing cell is a refusal. */
export const transitions: TransitionTable = {
  provisioning: {
    start: 'running',
    fail: 'failed',
    abort: 'aborted',
    cancel: 'cancelled',
    terminate: 'terminated',
  },
  running: {
    progress_reported: 'running',
    peer_ready: 'running',
    complete: 'completed',
    fail: 'failed',
    cancel: 'cancelled',
    retire_requested: 'retiring',
    retire_completed: 'retired',
    terminate: 'terminated',
  },
  retiring: {
    progress_reported: 'retiring',
    peer_ready: 'retiring',
    complete: 'completed',
    fail: 'failed',
    cancel: 'cancelled',
    retire_completed: 'retired',
    terminate: 'terminated',
  },
  completed: {},
  failed: {},
  aborted: {},
  cancelled: {},
  retired: {},
  terminated: {},
}

/** The names of refused actions (O-11). */
export const labels: Readonly<Record<OperationAction, string>> = {
  start: 'provisioning_succeeded',
  fail: 'fail_operation',
  peer_ready: 'peer_ready',
  progress_reported: 'report_progress',
  complete: 'complete_operation',
  abort: 'abort_provisioning',
  cancel: 'cancel_operation',
  retire_requested: 'request_retire',
  retire_completed: 'mark_retired',
  terminate: 'terminate_owner',
}

/** Capacity slots are not journalled (O-27). */
export const isTraceless = (kind: OperationKind): boolean => kind === 'background_tool_capacity_slot'
