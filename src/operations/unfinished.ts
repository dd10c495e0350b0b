import type { LiveStatus, OperationId, OperationSpec } from '../../machines/operation-vocabulary.js'
import { OperationTree } from './tree.js'

/** An operation that had not ended when the state was captured, and whose process has not recorded its end. */
export interface UnfinishedOperation {
  readonly spec: OperationSpec
  readonly status: LiveStatus
  /** When it started to run, in epoch milliseconds. */
  readonly startedAtMs?: number
}

/**
 * Operations of an earlier process that have not ended: lost ones, and those that only have to be ended because an
 * operation above them has.
 */
export class UnfinishedOperations implements Iterable<UnfinishedOperation> {
  readonly #operations = new Map<OperationId, UnfinishedOperation>()
  readonly #tree = new OperationTree((id) => this.#operations.get(id))
  /** Operations below one whose end is durable, while their own is not. */
  readonly #owed = new Set<OperationId>()

  /** The operations that have to be ended because one above them has ended, in the order of registration. */
  get owed(): readonly UnfinishedOperation[] {
    return this.#owed.size === 0 ? [] : [...this].filter(({ spec: { id } }) => this.#owed.has(id))
  }

  /** The lost operations, in the order of registration. */
  get lost(): readonly UnfinishedOperation[] {
    return this.#owed.size === 0 ? [...this] : [...this].filter(({ spec: { id } }) => !this.#owed.has(id))
  }

  /** Number of operations. */
  get size(): number {
    return this.#operations.size
  }

  get(id: OperationId): UnfinishedOperation | undefined {
    return this.#operations.get(id)
  }

  /** Adds an operation; `isOwed` if one above it has ended. */
  add(operation: UnfinishedOperation, { isOwed = false }: { readonly isOwed?: boolean } = {}): void {
    const { spec } = operation
    const before = this.#operations.get(spec.id)
    if (before !== undefined) this.#tree.remove(before.spec)
    // A lost operation that is started again keeps its position.
    this.#operations.set(spec.id, operation)
    this.#tree.add(spec)
    if (isOwed) this.#owed.add(spec.id)
    else this.#owed.delete(spec.id)
  }

  /** Records that an operation started to run. */
  start(id: OperationId, startedAtMs: number | undefined): void {
    const operation = this.#operations.get(id)
    if (operation === undefined) return
    this.#operations.set(id, { ...operation, status: 'running', ...(startedAtMs !== undefined && { startedAtMs }) })
  }

  /** Records the end of an operation: everything below it has to be ended too. */
  end(id: OperationId): void {
    for (const part of this.#tree.below(id, (below) => this.#owed.has(below))) this.#owed.add(part)
    this.delete(id)
  }

  /** Removes an operation, but not those below it; false if it is not here. */
  delete(id: OperationId): boolean {
    const operation = this.#operations.get(id)
    if (operation === undefined) return false
    this.#operations.delete(id)
    this.#tree.remove(operation.spec)
    this.#owed.delete(id)
    return true
  }

  clear(): void {
    for (const id of this.#operations.keys()) this.delete(id)
  }

  [Symbol.iterator](): Iterator<UnfinishedOperation> {
    return this.#operations.values()
  }
}
