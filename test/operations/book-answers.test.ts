import { expect, it } from 'vitest'
import type { OperationId, OperationSpec, OperationStatus } from '../../machines/operation-vocabulary.js'
import { BookAnswers } from '../../src/operations/book-answers.js'
import { mostLevels, OperationTree } from '../../src/operations/tree.js'
import { idOf, specOf } from './support/registry.js'

/** Operations of these statuses, each but the first a part of the one before it. */
class Book extends BookAnswers {
  readonly rows: Map<OperationId, { readonly spec: OperationSpec; readonly status: OperationStatus }>
  readonly tree = new OperationTree((id) => this.rows.get(id))
  readonly maxConcurrent = 3

  constructor(statuses: readonly OperationStatus[]) {
    super()
    this.rows = new Map(statuses.map((status, index) => [idOf(index + 1), { spec: partOf(index + 1, index), status }]))
  }

  get activeCount(): number {
    return [...this.rows.keys()].filter((id) => this.isLive(id)).length
  }

  /** 99 was known once. */
  protected isKnown(id: OperationId): boolean {
    return this.rows.has(id) || id === idOf(99)
  }

  effectiveStatus(id: OperationId): OperationStatus | undefined {
    return this.rows.get(id)?.status
  }
}

const partOf = (number: number, parent: number): OperationSpec =>
  specOf(number, 'background_tool_op', parent === 0 ? {} : { parentId: idOf(parent) })

it('a parent must be known, and one that is gone has closed its tree (O-150)', () => {
  const book = new Book(['running'])
  expect([0, 1, 98, 99].map((parent) => book.lacksParent(partOf(5, parent)))).toEqual([false, false, true, false])
  expect([0, 1, 98, 99].map((parent) => book.isTreeClosed(partOf(5, parent)))).toEqual([false, false, false, true])
})

it('what has ended closes the tree below it, and says which it was (O-150)', () => {
  const book = new Book(['running', 'cancelled', 'running', 'provisioning'])
  const ids = [1, 2, 3, 4].map(idOf)
  expect(ids.map((id) => book.endedAbove(id))).toEqual([undefined, undefined, idOf(2), idOf(2)])
  expect(ids.map((id) => book.isBelowEnded(id))).toEqual([false, false, true, true])
  expect(ids.map((id) => book.isLive(id))).toEqual([true, false, true, true])
  expect([book.isLive(idOf(7)), book.has(idOf(4)), book.has(idOf(99))]).toEqual([false, true, false])
})

it('the registry is full at its limit or at the one of a call', () => {
  const book = new Book(['running', 'cancelled', 'retiring', 'provisioning'])
  expect([book.isFull(), book.isFull(4), book.isFull(0)]).toEqual([true, false, true])
  expect(new Book(['running', 'running']).isFull()).toBe(false)
})

it('a tree has a deepest level, and a source its exact shapes', () => {
  const book = new Book(Array.from({ length: mostLevels + 1 }, () => 'running' as const))
  expect([mostLevels, mostLevels + 1].map((parent) => book.isTooDeep(partOf(500, parent)))).toEqual([false, true])
  expect(book.hasWellFormedSource(partOf(1, 0))).toBe(true)
  const operationSource = { kind: 'nonsense' } as unknown as NonNullable<OperationSpec['operationSource']>
  expect(book.hasWellFormedSource(specOf(1, 'background_tool_op', { operationSource }))).toBe(false)
})
