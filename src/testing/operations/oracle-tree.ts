import type { OperationId } from '../../../machines/operation-vocabulary.js'
import type { OracleOperation } from './rows.js'
import { live } from './tables.js'

/** The operations to which the rules of trees (O-150 to O-153) apply. */
export interface OracleTree {
  readonly operations: readonly OracleOperation[]
  find(id: OperationId): OracleOperation | undefined
  /** Ends in progress count. */
  statusFor(id: OperationId): string | undefined
}

/** The operation whose end ends this one, if there is one. */
export function aboveOf({ parentId, outlivesParent }: OracleOperation): OperationId | undefined {
  return outlivesParent ? undefined : parentId
}

/**
 * The nearest ended operation, starting at this one and going up, if any; an operation that is no longer kept has
 * ended.
 */
export function endedFrom(model: OracleTree, id: OperationId | undefined): OperationId | undefined {
  if (id === undefined) return undefined
  const operation = model.find(id)
  if (operation === undefined || !live.includes(model.statusFor(id) ?? '')) return id
  return endedFrom(model, aboveOf(operation))
}

/**
 * The operations below one that have not ended and are not ending: level by level, each in the order of registration.
 */
export function liveBelow(model: OracleTree, id: OperationId): OperationId[] {
  const levels: OperationId[][] = []
  const partsOf = (parents: readonly OperationId[]): OperationId[] =>
    parents.flatMap((parent) => model.operations.filter((one) => aboveOf(one) === parent).map((one) => one.id))
  for (let parts = partsOf([id]); parts.length > 0; parts = partsOf(parts)) levels.push(parts)
  return levels.flat().filter((part) => live.includes(model.statusFor(part) ?? ''))
}

/** The ids of those operations that are below one, at any depth, whatever their status. */
export function allBelow(operations: readonly OracleOperation[], id: OperationId): ReadonlySet<OperationId> {
  const below = new Set<OperationId>()
  const isBelow = (above: OperationId | undefined): boolean => above !== undefined && (above === id || below.has(above))
  for (let known = -1; known < below.size; ) {
    known = below.size
    for (const part of operations) if (isBelow(aboveOf(part))) below.add(part.id)
  }
  return below
}
