import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'
import type {
  OperationAction,
  OperationId,
  OperationStatus,
  SessionId,
  TurnId,
  WaitRequestId,
} from '../../machines/operation-vocabulary.js'

interface OfOperation {
  readonly id: OperationId
}

interface OfChild extends OfOperation {
  readonly parentId: OperationId
}

/** Data of `invalid_transition`. */
interface InvalidTransition extends OfOperation {
  readonly status: OperationStatus
  readonly action: string
}

/** The limit on running operations, and how many are running. */
interface Capacity {
  readonly limit: number
  readonly active: number
}

/** Data of `turn_refused`: the refused event and the state of the turn. */
export interface TurnRefusal {
  readonly turnId: TurnId
  /** The refused event of the turn chart. */
  readonly event: string
  /** The state of the turn chart. */
  readonly state: string
}

const messages = {
  already_registered: ({ id }: OfOperation) => `operation already registered: ${id}`,
  not_found: ({ id }: OfOperation) => `operation not found: ${id}`,
  invalid_transition: ({ id, status, action }: InvalidTransition) =>
    `invalid lifecycle transition for ${id}: ${status.charAt(0).toUpperCase()}${status.slice(1)} -> ${action}`,
  peer_not_expected: ({ id }: OfOperation) => `operation does not expect a peer handoff: ${id}`,
  already_peer_ready: ({ id }: OfOperation) => `operation is already peer-ready: ${id}`,
  max_concurrent_exceeded: ({ limit, active }: Capacity) =>
    `max concurrent operations exceeded (limit: ${limit}, active: ${active})`,
  parent_not_found: ({ id, parentId }: OfChild) => `the parent of operation ${id} is unknown: ${parentId}`,
  /** The end of a parent closes the tree: nothing below it can start any more. */
  parent_ended: ({ id, parentId }: OfChild) => `operation ${id} cannot start: its ancestor ${parentId} has ended`,
  tree_too_deep: ({ id, limit }: { readonly id: OperationId; readonly limit: number }) =>
    `operation ${id} would have more than ${limit} ancestors`,
  limit_reached: ({ id, by }: OfOperation & { readonly by: 'all' | 'kind' | 'key' | 'rate' }) =>
    `there is no room for operation ${id}: the limit by ${by} is reached`,
  queue_full: ({ limit }: { readonly limit: number }) => `the line is full: ${limit} operations are waiting`,
  cancelled_in_line: ({ id, reason }: OfOperation & { readonly reason: string | null }) =>
    `operation ${id} was cancelled before it began${reason === null ? '' : `: ${reason}`}`,
  /** Nothing is known of this id: the operation may have been evicted, or never have existed. */
  no_longer_retained: ({ id }: OfOperation) => `operation ${id} never existed or is no longer kept`,
  /** The node is being taken out of service. Running operations may still start children. */
  node_draining: () => 'no new operations are accepted while the node drains',
  wait_already_active: () => 'wait_all already active',
  wait_not_active: ({ waitRequestId }: { readonly waitRequestId: WaitRequestId }) =>
    `wait_all not active for request: ${waitRequestId}`,
  duplicate_wait_operation: ({ id }: OfOperation) => `wait_all contains duplicate operation id: ${id}`,
  unsupported: ({ method }: { readonly method: string }) => `operation not supported: ${method}`,
  /** Corruption or a programming fault: the registry refuses to guess. */
  internal: ({ detail }: { readonly detail: string }) => `internal lifecycle registry error: ${detail}`,
  /** The owner has retired; nothing changes any more. */
  owner_retired: () => 'operation owner is retired',
  /**
   * The call was made from inside another change of the same registry. Nothing has happened; call again in a later
   * microtask.
   */
  reentrant_change: () => 'the registry is in the middle of a change; ask again afterwards',
  session_exists: ({ id }: { readonly id: SessionId }) => `session already exists: ${id}`,
}

/** The data of each operations error, by code (O-11). */
export type OperationErrorData = ErrorDataOf<typeof messages>

/** The stable codes of {@link OperationError}. */
export type OperationErrorCode = keyof OperationErrorData

/** The errors of operations and their registry. Branch on `code` and read `data`, from which the message is derived. */
export const OperationError = defineErrors('OperationError', messages)
export type OperationError<Code extends OperationErrorCode = OperationErrorCode> = StatewardError<
  Code,
  OperationErrorData[Code]
>

const watchMessages = {
  channel_closed: (_: OfOperation) => 'operation completion channel closed without an authorized terminal outcome',
}

/**
 * Raised with code `channel_closed` by a watch if the operation went away without an outcome. It is never an outcome
 * itself.
 */
export const WatchError = defineErrors('WatchError', watchMessages)
export type WatchError = StatewardError<'channel_closed', ErrorDataOf<typeof watchMessages>['channel_closed']>

const waitMessages = {
  wait_disposed: (_: { readonly requestId: WaitRequestId }) => 'the wait was disposed',
}

/**
 * Raised with code `wait_disposed` by a wait whose handle was disposed. Its name is `AbortError`, as for every
 * abandoned call.
 */
export const WaitDisposedError = defineErrors('AbortError', waitMessages)
export type WaitDisposedError = StatewardError<'wait_disposed', ErrorDataOf<typeof waitMessages>['wait_disposed']>

const turnMessages = {
  turn_refused: ({ turnId, event, state }: TurnRefusal) => `turn ${turnId} is ${state} and does not accept ${event}`,
}

/** Raised with code `turn_refused` if a turn does not accept an event in its current state; the turn stays as it is. */
export const TurnRefusedError = defineErrors('TurnRefusedError', turnMessages)
export type TurnRefusedError = StatewardError<'turn_refused', TurnRefusal>

/** The names of actions in `invalid_transition` (O-11). */
export const actionLabels: Readonly<Record<OperationAction, string>> = {
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

/** The error for an internal fault, where any answer would be a guess. */
export function internalError(detail: string, options?: ErrorOptions): OperationError<'internal'> {
  return new OperationError('internal', { detail }, options)
}

/** The error of a registry that broke half-way through a change (O-146). */
export function poisonedError(): OperationError<'internal'> {
  return internalError('ops lifecycle registry poisoned')
}
