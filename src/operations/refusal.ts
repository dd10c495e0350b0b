import { unreachable } from '../base/errors.js'
import type {
  AdvanceEvent,
  BeginWaitEvent,
  OperationRefusal,
  OperationRegistryEvent,
  RegisterEvent,
  EndEvent,
} from '../../machines/operation-registry.js'
import type { OperationAction, OperationId } from '../../machines/operation-vocabulary.js'
import { actionLabels, internalError, OperationError, poisonedError } from './errors.js'
import type { OperationRecords } from './records.js'
import { mostLevels, type OperationTree } from './tree.js'

/** The facts about a registry's records that the errors for refusals need. */
export interface RefusalFacts
  extends Pick<
    OperationRecords,
    'maxConcurrent' | 'activeCount' | 'canBeAwaited' | 'endedAbove' | 'refusingGuard' | 'effectiveStatus'
  > {
  readonly tree: Pick<OperationTree, 'endedFrom'>
  readonly order: { readonly feed: { readonly droppedCount: number } }
}

/** Returns the public error for a refusal of the chart, with its data (O-11). */
export function refusalError(
  refusal: OperationRefusal,
  event: OperationRegistryEvent,
  records: RefusalFacts,
): OperationError {
  switch (refusal) {
    case 'already_registered': {
      const { id } = (event as RegisterEvent).spec
      return new OperationError('already_registered', { id })
    }
    case 'source_malformed':
      return internalError('registration carries a malformed operation source')
    case 'parent_not_found': {
      const { id, parentId } = (event as RegisterEvent).spec
      return new OperationError('parent_not_found', { id, parentId: parentId as OperationId })
    }
    case 'parent_ended': {
      const { id, above } = closedTreeOf(event as RegisterEvent | AdvanceEvent, records)
      return new OperationError('parent_ended', { id, parentId: above as OperationId })
    }
    case 'tree_too_deep': {
      const { id } = (event as RegisterEvent).spec
      return new OperationError('tree_too_deep', { id, limit: mostLevels })
    }
    case 'max_concurrent_exceeded': {
      const limit = (event as RegisterEvent).limit ?? records.maxConcurrent ?? 0
      const active = records.activeCount
      return new OperationError('max_concurrent_exceeded', { limit, active })
    }
    case 'not_found':
      return new OperationError('not_found', { id: (event as AdvanceEvent | EndEvent).id })
    case 'operation_refuses':
      return refusedByOperation(event as AdvanceEvent | EndEvent, records)
    case 'duplicate_wait_operation': {
      const id = firstRepeated((event as BeginWaitEvent).operationIds)
      return new OperationError('duplicate_wait_operation', { id })
    }
    case 'wait_already_active':
      return new OperationError('wait_already_active', {})
    case 'wait_member_not_found': {
      const { operationIds } = event as BeginWaitEvent
      const id = operationIds.find((member) => !records.canBeAwaited(member)) as OperationId
      // Once rows have left the feed, an evicted operation cannot be told from one that never existed.
      const isKnownForGood = records.order.feed.droppedCount === 0
      return new OperationError(isKnownForGood ? 'not_found' : 'no_longer_retained', { id })
    }
    case 'wait_not_active':
      return new OperationError('wait_not_active', { waitRequestId: (event as BeginWaitEvent).requestId })
    case 'owner_retired':
      return new OperationError('owner_retired', {})
    case 'poisoned':
      return poisonedError()
    default:
      return unreachable(refusal, 'refusal')
  }
}

function closedTreeOf(event: RegisterEvent | AdvanceEvent, records: RefusalFacts) {
  if (event.type !== 'register') return { id: event.id, above: records.endedAbove(event.id) }
  const { id, parentId } = event.spec
  return { id, above: records.tree.endedFrom(parentId) }
}

/** The error is chosen by the guard that failed in the operation's own chart (O-23). */
function refusedByOperation(event: AdvanceEvent | EndEvent, records: RefusalFacts): OperationError {
  const { id, type } = event
  switch (records.refusingGuard(event)) {
    case 'expectsPeer':
      return new OperationError('peer_not_expected', { id })
    case 'hasNoPeer':
      return new OperationError('already_peer_ready', { id })
    case 'outcomeIs':
      return internalError(`the outcome contradicts the action ${type}`)
    default:
      return invalidTransition(event, records)
  }
}

function invalidTransition(event: AdvanceEvent | EndEvent, records: RefusalFacts): OperationError {
  const { id } = event
  const status = records.effectiveStatus(id)
  if (status === undefined) return new OperationError('not_found', { id })
  const action = actionLabels[event.type.slice('operation.'.length) as OperationAction]
  return new OperationError('invalid_transition', { id, status, action })
}

function firstRepeated(ids: readonly OperationId[]): OperationId {
  const seen = new Set<OperationId>()
  for (const id of ids) {
    if (seen.has(id)) return id
    seen.add(id)
  }
  throw internalError('no id is repeated')
}
