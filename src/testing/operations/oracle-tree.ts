import type { OperationId } from '../../../machines/operation-vocabulary.js'
import type { OracleOperation } from './rows.js'
import { live } from './tables.js'

/** What the rules of trees (O-150 to O-153) look at. */
interface Operations {
  readonly operations: readonly OracleOperation[]
  find(id: OperationId): OracleOperation | undefined
  /** An end that is under way counts. */
  statusFor(id: OperationId): string | undefined
}

/** The operation whose end ends this one, if there is one. */
export function aboveOf({ parentId, outlivesParent }: OracleOperation): OperationId | undefined {
  return outlivesParent ? undefined : parentId
}

/** The operation from this one upwards that has ended, if one has; one that is not there any more has. */
export function endedFrom(model: Operations, id: OperationId | undefined): OperationId | undefined {
  if (id === undefined) return undefined
  const operation = model.find(id)
  if (operation === undefined || !live.includes(model.statusFor(id) ?? '')) return id
  return endedFrom(model, aboveOf(operation))
}

/** The operations below one that no end is under way of: level by level, each in the order of registration. */
export function liveBelow(model: Operations, id: OperationId): OperationId[] {
  const levels: OperationId[][] = []
  const partsOf = (parents: readonly OperationId[]): OperationId[] =>
    parents.flatMap((parent) => model.operations.filter((one) => aboveOf(one) === parent).map((one) => one.id))
  for (let parts = partsOf([id]); parts.length > 0; parts = partsOf(parts)) levels.push(parts)
  return levels.flat().filter((part) => live.includes(model.statusFor(part) ?? ''))
}
