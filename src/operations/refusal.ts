import { unreachable } from '../base/errors.js'
import type {
  AdvanceEvent,
  BeginWaitEvent,
  OperationRefusal,
  OperationRegistryEvent,
  RegisterEvent,
  SettleEvent,
} from '../../machines/operation-registry.js'
import type { OperationAction, OperationId } from '../../machines/operation-vocabulary.js'
import { actionLabels, internalError, notFound, OperationError } from './errors.js'
import type { OperationRecords } from './records.js'

/** The public error for a refusal of the chart, with its data (O-11). */
export function refusalError(
  refusal: OperationRefusal,
  event: OperationRegistryEvent,
  records: OperationRecords,
): OperationError {
  switch (refusal) {
    case 'already_registered': {
      const { id } = (event as RegisterEvent).spec
      return new OperationError('already_registered', `operation already registered: ${id}`, { id })
    }
    case 'source_malformed':
      return internalError('registration carries a malformed operation source')
    case 'max_concurrent_exceeded': {
      const limit = (event as RegisterEvent).limit ?? records.maxConcurrent ?? 0
      const active = records.activeCount
      const text = `max concurrent operations exceeded (limit: ${limit}, active: ${active})`
      return new OperationError('max_concurrent_exceeded', text, { limit, active })
    }
    case 'not_found':
      return notFound((event as AdvanceEvent | SettleEvent).id)
    case 'operation_refuses':
      return refusedByOperation(event as AdvanceEvent | SettleEvent, records)
    case 'duplicate_wait_operation': {
      const id = firstRepeated((event as BeginWaitEvent).operationIds)
      return new OperationError('duplicate_wait_operation', `wait_all contains duplicate operation id: ${id}`, { id })
    }
    case 'wait_already_active':
      return new OperationError('wait_already_active', 'wait_all already active', {})
    case 'wait_member_not_found':
      return notFound((event as BeginWaitEvent).operationIds.find((id) => !records.has(id)) as OperationId)
    case 'wait_not_active': {
      const { requestId } = event as BeginWaitEvent
      return waitNotActive(requestId)
    }
    case 'owner_retired':
      return ownerRetired()
    case 'poisoned':
      return poisonedError()
    default:
      return unreachable(refusal, 'refusal')
  }
}

/** Nothing waits under this request. */
export function waitNotActive(waitRequestId: BeginWaitEvent['requestId']): OperationError<'wait_not_active'> {
  return new OperationError('wait_not_active', `wait_all not active for request: ${waitRequestId}`, { waitRequestId })
}

/** The owner has gone; nothing is changed any more. */
export function ownerRetired(): OperationError<'owner_retired'> {
  return new OperationError('owner_retired', 'operation owner is retired', {})
}

/** Asked for by something that runs inside a change of the same registry. */
export function reentrantChange(): OperationError<'reentrant_change'> {
  return new OperationError('reentrant_change', 'the registry is in the middle of a change: ask again after it', {})
}

/** The registry broke half-way through a change (O-146). */
export function poisonedError(): OperationError<'internal'> {
  return internalError('ops lifecycle registry poisoned')
}

/** Named by the guard that failed in the operation's own chart (O-23). */
function refusedByOperation(event: AdvanceEvent | SettleEvent, records: OperationRecords): OperationError {
  const { id, type } = event
  switch (records.refusingGuard(event)) {
    case 'expectsPeer':
      return new OperationError('peer_not_expected', `operation does not expect a peer handoff: ${id}`, { id })
    case 'hasNoPeer':
      return new OperationError('already_peer_ready', `operation is already peer-ready: ${id}`, { id })
    case 'outcomeIs':
      return internalError(`the outcome contradicts the action ${type}`)
    default:
      return invalidTransition(event, records)
  }
}

function invalidTransition(event: AdvanceEvent | SettleEvent, records: OperationRecords): OperationError {
  const { id } = event
  const status = records.effectiveStatus(id)
  if (status === undefined) return notFound(id)
  const action = actionLabels[event.type.slice('operation.'.length) as OperationAction]
  const shown = status.charAt(0).toUpperCase() + status.slice(1)
  const text = `invalid lifecycle transition for ${id}: ${shown} -> ${action}`
  return new OperationError('invalid_transition', text, { id, status, action })
}

function firstRepeated(ids: readonly OperationId[]): OperationId {
  const seen = new Set<OperationId>()
  for (const id of ids) {
    if (seen.has(id)) return id
    seen.add(id)
  }
  throw internalError('no id is repeated')
}
