/**
 * A read-only map that shows the rows of another map in a different form, computed when they are read. As JSON it is
 * an object by key, in the order of the map.
 */
export class MappedTable<Key extends string, Row, View> implements ReadonlyMap<Key, View> {
  readonly #rows: ReadonlyMap<Key, Row>
  readonly #show: (row: Row) => View

  constructor(rows: ReadonlyMap<Key, Row>, show: (row: Row) => View) {
    this.#rows = rows
    this.#show = show
  }

  get size(): number {
    return this.#rows.size
  }

  get(key: Key): View | undefined {
    const row = this.#rows.get(key)
    return row === undefined ? undefined : this.#show(row)
  }

  has(key: Key): boolean {
    return this.#rows.has(key)
  }

  forEach(visit: (view: View, key: Key, map: ReadonlyMap<Key, View>) => void): void {
    this.#rows.forEach((row, key) => visit(this.#show(row), key, this))
  }

  keys(): MapIterator<Key> {
    return this.#rows.keys()
  }

  *values(): MapIterator<View> {
    for (const row of this.#rows.values()) yield this.#show(row)
  }

  *entries(): MapIterator<[Key, View]> {
    for (const [key, row] of this.#rows) yield [key, this.#show(row)]
  }

  [Symbol.iterator](): MapIterator<[Key, View]> {
    return this.entries()
  }

  toJSON(): Readonly<Record<string, View>> {
    return Object.fromEntries(this)
  }
}
