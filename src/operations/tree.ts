import { MultiMap } from '../base/multi-map.js'
import {
  isTerminal,
  type OperationId,
  type OperationSpec,
  type OperationStatus,
} from '../../machines/operation-vocabulary.js'

/** How many operations may stand above one; asking whether a tree is closed goes through them. */
export const mostLevels = 128

/** The operation whose end ends this one, if there is one. */
export function tieOf({ parentId, outlivesParent }: OperationSpec): OperationId | undefined {
  return outlivesParent === true ? undefined : parentId
}

/** What a tree has to know of an operation. */
interface TreeNode {
  readonly spec: OperationSpec
  /** An end that is under way counts. */
  readonly status: OperationStatus
}

/**
 * Which operations are parts of which. An operation that has ended closes the tree below it: nothing there starts any more, and
 * what is live there is about to end. Those that outlive their parent begin a tree of their own.
 */
export class OperationTree {
  /** Live operations by the one whose end ends them. */
  readonly #parts = new MultiMap<OperationId, OperationId>()
  readonly #nodeOf: (id: OperationId) => TreeNode | undefined

  /** `nodeOf` answers for every retained operation; one that is not retained has ended. */
  constructor(nodeOf: (id: OperationId) => TreeNode | undefined) {
    this.#nodeOf = nodeOf
  }

  /** An operation has been registered. */
  add(spec: OperationSpec): void {
    const above = tieOf(spec)
    if (above !== undefined) this.#parts.add(above, spec.id)
  }

  /** An operation has ended. */
  remove(spec: OperationSpec): void {
    const above = tieOf(spec)
    if (above !== undefined) this.#parts.delete(above, spec.id)
  }

  /** The operation from this one upwards that has ended, if one has. */
  endedFrom(id: OperationId | undefined): OperationId | undefined {
    for (let next = id; next !== undefined; ) {
      const node = this.#nodeOf(next)
      if (node === undefined || isTerminal(node.status)) return next
      next = tieOf(node.spec)
    }
    return undefined
  }

  /** Whether more than {@link mostLevels} operations stand from this one upwards. */
  isTooDeep(id: OperationId | undefined): boolean {
    let level = 0
    for (let next = id; next !== undefined && level <= mostLevels; level += 1) {
      const node = this.#nodeOf(next)
      next = node && tieOf(node.spec)
    }
    return level > mostLevels
  }

  /** The live operations below one, those above before those below them; nothing below one that `isLeftOut`. */
  below(id: OperationId, isLeftOut: (id: OperationId) => boolean): OperationId[] {
    const found: OperationId[] = []
    for (let next: OperationId | undefined = id, index = 0; next !== undefined; next = found[index++]) {
      for (const part of this.#parts.get(next)) if (!isLeftOut(part)) found.push(part)
    }
    return found
  }
}
