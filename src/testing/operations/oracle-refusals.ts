import type {
  OperationAction,
  OperationId,
  OperationKind,
  OperationSpec,
  OperationStatus,
} from '../../../machines/operation-vocabulary.js'
import { aboveOf, endedFrom, type OracleTree } from './oracle-tree.js'
import type { OracleLimits, Verdict } from './rows.js'
import { labels, transitions } from './tables.js'

/** What the rules look at. */
interface Model extends OracleTree {
  readonly limits: OracleLimits
  readonly owner: 'open' | 'draining' | 'retired'
  readonly line: { readonly ids: readonly OperationId[] }
  statusFor(id: OperationId): OperationStatus | undefined
  isUsed(id: OperationId): boolean
  liveOperations(): readonly unknown[]
}

/** The answer of an owner that has retired. */
export const ownerRetired: Verdict = { refused: 'owner_retired', data: {} }

/** Why an operation is not registered (O-39, O-153), after the argument errors of O-46 and O-13. */
export function registrationRefusal(model: Model, spec: OperationSpec, limit: number | undefined): Verdict | undefined {
  const { id, kind, parentId, expectPeerChannel } = spec
  if (parentId === id || expectPeerChannel !== expectsPeer(kind)) return { refused: 'invalid_input' }
  if (model.owner !== 'open') return ownerRetired
  if (model.isUsed(id) || model.line.ids.includes(id)) return { refused: 'already_registered', data: { id } }
  if (parentId !== undefined && !model.isUsed(parentId)) return { refused: 'parent_not_found', data: { id, parentId } }
  const above = endedFrom(model, parentId)
  if (above !== undefined) return { refused: 'parent_ended', data: { id, parentId: above } }
  const effectiveLimit = limit ?? model.limits.maxConcurrent
  const active = model.liveOperations().length
  if (effectiveLimit === undefined || active < effectiveLimit) return undefined
  return { refused: 'max_concurrent_exceeded', data: { limit: effectiveLimit, active } }
}

/** Why an action is refused: the first rule of O-23 that applies. */
export function actionRefusal(model: Model, action: OperationAction, id: OperationId): Verdict | undefined {
  if (model.owner === 'retired') return ownerRetired
  const operation = model.find(id)
  const status = model.statusFor(id)
  if (operation === undefined || status === undefined) return { refused: 'not_found', data: { id } }
  if (action === 'peer_ready') {
    if (!expectsPeer(operation.kind)) return { refused: 'peer_not_expected', data: { id } }
    if (operation.peerReady) return { refused: 'already_peer_ready', data: { id } }
  }
  if (transitions[status][action] === undefined) {
    return { refused: 'invalid_transition', data: { id, status, action: labels[action] } }
  }
  const above = action === 'start' ? endedFrom(model, aboveOf(operation)) : undefined
  return above === undefined ? undefined : { refused: 'parent_ended', data: { id, parentId: above } }
}

/** Stated anew, so that the model shares nothing with the product. */
function expectsPeer(kind: OperationKind): boolean {
  return kind === 'mob_member_child'
}
