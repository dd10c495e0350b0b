import {
  isTerminal,
  type OperationId,
  type OperationSpec,
  type OperationStatus,
} from '../../machines/operation-vocabulary.js'
import { sourceProblem } from './source.js'
import { tieOf, type OperationTree } from './tree.js'

/**
 * The answers to the guards of the registry's chart that follow from the operations and their tree alone, wherever
 * these are kept.
 */
export abstract class BookAnswers {
  /** The operations at hand. */
  abstract readonly rows: ReadonlyMap<OperationId, { readonly spec: OperationSpec }>
  /** The parent-child relations. */
  abstract readonly tree: OperationTree

  /** The limit on running operations; unlimited if absent. */
  abstract get maxConcurrent(): number | undefined

  /** Number of operations that have not ended. */
  abstract get activeCount(): number

  /** True for an operation that is kept, or was. */
  protected abstract isKnown(id: OperationId): boolean

  /** The status of an operation, or the one it will have if its end is in progress. */
  abstract effectiveStatus(id: OperationId): OperationStatus | undefined

  has(id: OperationId): boolean {
    return this.rows.has(id)
  }

  hasWellFormedSource({ operationSource }: OperationSpec): boolean {
    return operationSource === undefined || sourceProblem(operationSource) === undefined
  }

  lacksParent({ parentId }: OperationSpec): boolean {
    return parentId !== undefined && !this.isKnown(parentId)
  }

  isTreeClosed(spec: OperationSpec): boolean {
    return !this.lacksParent(spec) && this.tree.endedFrom(spec.parentId) !== undefined
  }

  isTooDeep(spec: OperationSpec): boolean {
    return this.tree.isTooDeep(tieOf(spec))
  }

  isBelowEnded(id: OperationId): boolean {
    return this.endedAbove(id) !== undefined
  }

  /** The ended operation above this one that has closed its tree, if any. Ends in progress count. */
  endedAbove(id: OperationId): OperationId | undefined {
    const spec = this.rows.get(id)?.spec
    return spec && this.tree.endedFrom(tieOf(spec))
  }

  isFull(limit = this.maxConcurrent): boolean {
    return limit !== undefined && this.activeCount >= limit
  }

  /** True if the operation has not ended. Ends in progress count as ended. */
  isLive(id: OperationId): boolean {
    const status = this.effectiveStatus(id)
    return status !== undefined && !isTerminal(status)
  }
}
