import { deepFreeze } from '../base/freeze.js'
import { OrderedKeys } from './ordered-keys.js'

/** The rows of consecutive slots, which are numbered from 0. A change copies one block. */
type Block<Row> = (Row | undefined)[]

/** Number of rows per block: a power of two, given by its exponent. */
const blockBits = 5
const withinBlock = 2 ** blockBits - 1

/**
 * A sorted map with immutable versions. One owner changes the rows in place and takes versions of them. A version
 * never changes, shares all unchanged parts with the previous one, and costs as much as was changed in between. A row
 * keeps its slot as long as its key exists, so changing a row is a look-up and a write. The order of the keys is only
 * updated when keys are added or removed.
 *
 *     table.set('b', row)
 *     const version = table.version() // a map of frozen rows in the order of their keys
 */
export class VersionedTable<Key extends string, Row> {
  readonly #slots = new Map<Key, number>()
  /** Free slots, and the first slot that has never been used. */
  #free: number[] = []
  #nextSlot = 0
  #blocks: Block<Row>[] = []
  /** Whether a version shares the list of blocks. */
  #isListShared = false
  /**
   * For each block, the number of the version for which it was copied. Blocks copied for the next version may be
   * changed.
   */
  #copiedFor: number[] = []
  #nextVersion = 0
  #version: TableVersion<Key, Row> = new TableVersion<Key, Row>(OrderedKeys.empty, [])
  #order: OrderedKeys<Key> = OrderedKeys.empty
  #isChanged = false
  /** Keys added or removed since the last version; some may be listed several times. */
  #changedKeys: Key[] = []

  /** The current row. */
  get(key: Key): Row | undefined {
    const slot = this.#slots.get(key)
    return slot === undefined ? undefined : rowAt(this.#blocks, slot)
  }

  /** Sets a row, which is frozen from now on. */
  set(key: Key, row: Row): void {
    deepFreeze(row)
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = this.#free.pop() ?? this.#nextSlot++
      this.#slots.set(key, slot)
      this.#changedKeys.push(key)
    }
    this.#put(slot, row)
  }

  /** Removes a row, if there is one. */
  delete(key: Key): void {
    const slot = this.#slots.get(key)
    if (slot === undefined) return
    this.#slots.delete(key)
    this.#free.push(slot)
    this.#changedKeys.push(key)
    this.#put(slot, undefined)
  }

  /** Removes all rows. */
  clear(): void {
    if (this.#slots.size === 0) return
    this.#slots.clear()
    this.#isChanged = true
    this.#arrange([])
  }

  /** An immutable version of the current rows; the same object as before if nothing has changed. */
  version(): TableVersion<Key, Row> {
    if (!this.#isChanged) return this.#version
    const changed = this.#changedKeys
    if (changed.length > 32 && changed.length > this.#slots.size / 4) {
      this.#arrange([...this.#slots.keys()].sort(byText))
    } else if (changed.length > 0) {
      this.#order = this.#order.with(changed, this.#slots)
      this.#changedKeys = []
    }
    this.#version = new TableVersion(this.#order, this.#blocks)
    this.#isListShared = true
    this.#nextVersion += 1
    this.#isChanged = false
    return this.#version
  }

  #put(slot: number, row: Row | undefined): void {
    this.#isChanged = true
    if (this.#isListShared) {
      this.#blocks = this.#blocks.slice()
      this.#isListShared = false
    }
    const at = slot >> blockBits
    let block = this.#blocks[at]
    if (block === undefined || this.#copiedFor[at] !== this.#nextVersion) {
      block = block === undefined ? [] : block.slice()
      this.#blocks[at] = block
      this.#copiedFor[at] = this.#nextVersion
    }
    block[slot & withinBlock] = row
  }

  /**
   * Reassigns the slots in the order of the keys, so that rows read one after another are next to each other in
   * memory.
   */
  #arrange(keys: readonly Key[]): void {
    const rows = keys.map((key) => this.get(key))
    this.#blocks = []
    for (let start = 0; start < rows.length; start += withinBlock + 1) {
      this.#blocks.push(rows.slice(start, start + withinBlock + 1))
    }
    keys.forEach((key, slot) => this.#slots.set(key, slot))
    this.#free = []
    this.#nextSlot = keys.length
    this.#isListShared = false
    this.#copiedFor = this.#blocks.map(() => -1)
    this.#order = OrderedKeys.of(keys)
    this.#changedKeys = []
  }
}

/** The rows at one instant, in the order of their keys. A read-only map, and an object as JSON. */
export class TableVersion<Key extends string, Row> implements ReadonlyMap<Key, Row> {
  readonly #order: OrderedKeys<Key>
  readonly #blocks: readonly Block<Row>[]

  constructor(order: OrderedKeys<Key>, blocks: readonly Block<Row>[]) {
    this.#order = order
    this.#blocks = blocks
  }

  get size(): number {
    return this.#order.size
  }

  get(key: Key): Row | undefined {
    const slot = this.#order.slotOf(key)
    return slot === undefined ? undefined : rowAt(this.#blocks, slot)
  }

  has(key: Key): boolean {
    return this.#order.slotOf(key) !== undefined
  }

  forEach(visit: (row: Row, key: Key, map: ReadonlyMap<Key, Row>) => void): void {
    this.#order.forEach((key, slot) => visit(rowAt(this.#blocks, slot), key, this))
  }

  *keys(): ReturnType<ReadonlyMap<Key, Row>['keys']> {
    for (const [key] of this.#order) yield key
  }

  *values(): ReturnType<ReadonlyMap<Key, Row>['values']> {
    for (const [, slot] of this.#order) yield rowAt(this.#blocks, slot)
  }

  *entries(): ReturnType<ReadonlyMap<Key, Row>['entries']> {
    for (const [key, slot] of this.#order) yield [key, rowAt(this.#blocks, slot)]
  }

  [Symbol.iterator](): ReturnType<ReadonlyMap<Key, Row>['entries']> {
    return this.entries()
  }

  /** The rows by key, in order. */
  toJSON(): Readonly<Record<string, Row>> {
    return Object.fromEntries(this)
  }
}

/** The row in a used slot. */
function rowAt<Row>(blocks: readonly Block<Row>[], slot: number): Row {
  return blocks[slot >> blockBits]?.[slot & withinBlock] as Row
}

function byText(one: string, other: string): number {
  return one < other ? -1 : 1
}
