import type { LiveStatus, OperationId, OperationSpec } from '../../machines/operation-vocabulary.js'
import { OperationTree } from './tree.js'

/** An operation that had not ended when the state was captured; its process has not seen its end. */
export interface UnfinishedOperation {
  readonly spec: OperationSpec
  readonly status: LiveStatus
  /** When it began to run; epoch milliseconds. */
  readonly startedAtMs?: number
}

/** Operations of an earlier process that have not ended: those that were lost, and those that only an end is owed to. */
export class UnfinishedOperations implements Iterable<UnfinishedOperation> {
  readonly #operations = new Map<OperationId, UnfinishedOperation>()
  readonly #tree = new OperationTree((id) => this.#operations.get(id))
  /** Parts of an operation whose end is durable, theirs is not. */
  readonly #owed = new Set<OperationId>()

  /** Those to whom an end is owed, because one above them has ended, in the order in which they were registered. */
  get owed(): readonly UnfinishedOperation[] {
    return this.#owed.size === 0 ? [] : [...this].filter(({ spec: { id } }) => this.#owed.has(id))
  }

  /** Those that were lost, in the order in which they were registered. */
  get lost(): readonly UnfinishedOperation[] {
    return this.#owed.size === 0 ? [...this] : [...this].filter(({ spec: { id } }) => !this.#owed.has(id))
  }

  get(id: OperationId): UnfinishedOperation | undefined {
    return this.#operations.get(id)
  }

  /** Adds an operation; `isOwed` when one above it has ended. */
  add(operation: UnfinishedOperation, { isOwed = false }: { readonly isOwed?: boolean } = {}): void {
    const { spec } = operation
    const before = this.#operations.get(spec.id)
    if (before !== undefined) this.#tree.remove(before.spec)
    // One that was lost and is started anew keeps its place.
    this.#operations.set(spec.id, operation)
    this.#tree.add(spec)
    if (isOwed) this.#owed.add(spec.id)
    else this.#owed.delete(spec.id)
  }

  /** It runs. */
  start(id: OperationId, startedAtMs: number | undefined): void {
    const operation = this.#operations.get(id)
    if (operation === undefined) return
    this.#operations.set(id, { ...operation, status: 'running', ...(startedAtMs !== undefined && { startedAtMs }) })
  }

  /** It has ended: an end is owed to all below it. */
  end(id: OperationId): void {
    for (const part of this.#tree.below(id, (below) => this.#owed.has(below))) this.#owed.add(part)
    this.delete(id)
  }

  /** Forgets an operation without a word on those below it; false when it is not there. */
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
