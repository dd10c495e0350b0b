import { StatewardError } from '../base/errors.js'
import type {
  OperationAction,
  OperationId,
  OperationStatus,
  TurnId,
  WaitRequestId,
} from '../../machines/operation-vocabulary.js'

/** Data of every error of the operations room, by code (O-11). */
export interface OperationErrorData {
  already_registered: { readonly id: OperationId }
  not_found: { readonly id: OperationId }
  invalid_transition: { readonly id: OperationId; readonly status: OperationStatus; readonly action: string }
  peer_not_expected: { readonly id: OperationId }
  already_peer_ready: { readonly id: OperationId }
  max_concurrent_exceeded: { readonly limit: number; readonly active: number }
  wait_already_active: Record<string, never>
  wait_not_active: { readonly waitRequestId: WaitRequestId }
  duplicate_wait_operation: { readonly id: OperationId }
  unsupported: { readonly method: string }
  /** Corruption or a programming fault: the registry refuses to guess. */
  internal: { readonly detail: string }
  owner_retired: Record<string, never>
  /** Asked for from inside another change of the same registry; nothing has happened, ask again in a later microtask. */
  reentrant_change: Record<string, never>
}

/** Stable code of an {@link OperationError}. */
export type OperationErrorCode = keyof OperationErrorData

/** Raised by the operations registry; branch on `code` and read `data`. */
export class OperationError<Code extends OperationErrorCode = OperationErrorCode> extends StatewardError<
  Code,
  OperationErrorData[Code]
> {
  override readonly name = 'OperationError'
}

/** Raised with code `channel_closed` by a watch whose operation went away without an outcome; never an outcome itself. */
export class WatchError extends StatewardError<'channel_closed', { readonly id: OperationId }> {
  override readonly name = 'WatchError'

  constructor(id: OperationId) {
    super('channel_closed', 'operation completion channel closed without an authorized terminal outcome', { id })
  }
}

/** Raised with code `wait_disposed` by a wait whose handle was disposed; its name is the one of every given-up call. */
export class WaitDisposedError extends StatewardError<'wait_disposed', { readonly requestId: WaitRequestId }> {
  override readonly name = 'AbortError'

  constructor(requestId: WaitRequestId) {
    super('wait_disposed', 'the wait was disposed', { requestId })
  }
}

/** What a turn was asked, and where it stood. */
export interface TurnRefusal {
  readonly turnId: TurnId
  /** Event of the turn chart. */
  readonly event: string
  /** State of the turn chart. */
  readonly state: string
}

/** Raised with code `turn_refused` when a turn does not take an event where it stands; the turn stays as it is. */
export class TurnRefusedError extends StatewardError<'turn_refused', TurnRefusal> {
  override readonly name = 'TurnRefusedError'

  constructor(refusal: TurnRefusal) {
    const { turnId, event, state } = refusal
    super('turn_refused', `turn ${turnId} is ${state} and does not take ${event}`, refusal)
  }
}

/** The action as `invalid_transition` names it (O-11). */
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

/** The fail-closed error: something is wrong inside, and answering would mean guessing. */
export function internalError(detail: string, options?: ErrorOptions): OperationError<'internal'> {
  return new OperationError('internal', `internal lifecycle registry error: ${detail}`, { detail }, options)
}

/** No operation of this id is retained. */
export function notFound(id: OperationId): OperationError<'not_found'> {
  return new OperationError('not_found', `operation not found: ${id}`, { id })
}
