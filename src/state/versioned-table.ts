import { deepFreeze } from '../base/freeze.js'
import { OrderedKeys } from './ordered-keys.js'

/** Rows at their places, which are numbered from 0; so many of them are copied when one changes. */
type Block<Row> = (Row | undefined)[]

/** A power of two, by its exponent: rows to a block. */
const blockBits = 5
const withinBlock = 2 ** blockBits - 1

/**
 * Rows under keys, changed in place by one owner who hands out versions of them: a version never changes, shares with the one
 * before it whatever has stayed, and costs as much as was changed in between. A row stays at its place as long as its key is there,
 * so that a change of a row is a look-up and a write; the order of the keys is touched when one comes or goes.
 *
 *     table.set('b', row)
 *     const version = table.version() // a map of frozen rows in the order of their keys
 */
export class VersionedTable<Key extends string, Row> {
  readonly #slots = new Map<Key, number>()
  /** Places that are free again, and the first that never was taken. */
  #free: number[] = []
  #nextSlot = 0
  #blocks: Block<Row>[] = []
  /** A version has the list of blocks as it is. */
  #isListShared = false
  /** For each block the number of the version for which it was copied: the coming one may change it. */
  #copiedFor: number[] = []
  #nextVersion = 0
  #version: TableVersion<Key, Row> = new TableVersion<Key, Row>(OrderedKeys.empty, [])
  #order: OrderedKeys<Key> = OrderedKeys.empty
  #isChanged = false
  /** Keys that have come or gone since the version, some more than once. */
  #changedKeys: Key[] = []

  /** The row as it is now. */
  get(key: Key): Row | undefined {
    const slot = this.#slots.get(key)
    return slot === undefined ? undefined : rowAt(this.#blocks, slot)
  }

  /** Puts a row, which is frozen from now on. */
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

  /** Takes a row away, if there is one. */
  delete(key: Key): void {
    const slot = this.#slots.get(key)
    if (slot === undefined) return
    this.#slots.delete(key)
    this.#free.push(slot)
    this.#changedKeys.push(key)
    this.#put(slot, undefined)
  }

  /** Takes every row away. */
  clear(): void {
    if (this.#slots.size === 0) return
    this.#slots.clear()
    this.#isChanged = true
    this.#arrange([])
  }

  /** The rows as they are now, for good; the same object as before when nothing was changed. */
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

  /** Gives each of all keys, in order, a place in that order: whoever reads them one after another finds them side by side. */
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

/** The rows of one instant, in the order of their keys; a read-only map, and as JSON an object. */
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

/** The row at a place that is taken. */
function rowAt<Row>(blocks: readonly Block<Row>[], slot: number): Row {
  return blocks[slot >> blockBits]?.[slot & withinBlock] as Row
}

function byText(one: string, other: string): number {
  return one < other ? -1 : 1
}
