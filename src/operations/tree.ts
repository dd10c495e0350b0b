import { MultiMap } from '../base/multi-map.js'
import {
  isTerminal,
  type OperationId,
  type OperationSpec,
  type OperationStatus,
} from '../../machines/operation-vocabulary.js'

/** Maximum number of operations above one; bounds the walk that checks whether a tree is closed. */
export const mostLevels = 128

/** The operation whose end ends this one, if there is one. */
export function tieOf({ parentId, outlivesParent }: OperationSpec): OperationId | undefined {
  return outlivesParent === true ? undefined : parentId
}

/** The facts about an operation that a tree needs. */
interface TreeNode {
  readonly spec: OperationSpec
  /** Ends in progress count. */
  readonly status: OperationStatus
}

/**
 * The parent-child relations of operations. The end of an operation closes the tree below it: nothing there can start
 * any more, and live operations there are about to be ended. An operation that outlives its parent is the root of its
 * own tree.
 */
export class OperationTree {
  /** Live operations, by the operation whose end ends them. */
  readonly #parts = new MultiMap<OperationId, OperationId>()
  readonly #nodeOf: (id: OperationId) => TreeNode | undefined

  /** `nodeOf` returns every retained operation; one that is not retained has ended. */
  constructor(nodeOf: (id: OperationId) => TreeNode | undefined) {
    this.#nodeOf = nodeOf
  }

  /** Adds a registered operation. */
  add(spec: OperationSpec): void {
    const above = tieOf(spec)
    if (above !== undefined) this.#parts.add(above, spec.id)
  }

  /** Removes an ended operation. */
  remove(spec: OperationSpec): void {
    const above = tieOf(spec)
    if (above !== undefined) this.#parts.delete(above, spec.id)
  }

  /** The nearest ended operation, starting at this one and going up; `undefined` if none has ended. */
  endedFrom(id: OperationId | undefined): OperationId | undefined {
    for (let next = id; next !== undefined; ) {
      const node = this.#nodeOf(next)
      if (node === undefined || isTerminal(node.status)) return next
      next = tieOf(node.spec)
    }
    return undefined
  }

  /** Whether this operation and those above it are more than {@link mostLevels}. */
  isTooDeep(id: OperationId | undefined): boolean {
    let level = 0
    for (let next = id; next !== undefined && level <= mostLevels; level += 1) {
      const node = this.#nodeOf(next)
      next = node && tieOf(node.spec)
    }
    return level > mostLevels
  }

  /**
   * The live operations below one, parents before their children. Skips every operation for which `isLeftOut` is true,
   * and everything below it.
   */
  below(id: OperationId, isLeftOut: (id: OperationId) => boolean): OperationId[] {
    const found: OperationId[] = []
    for (let next: OperationId | undefined = id, index = 0; next !== undefined; next = found[index++]) {
      for (const part of this.#parts.get(next)) if (!isLeftOut(part)) found.push(part)
    }
    return found
  }
}
