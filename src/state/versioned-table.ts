import { deepFreeze } from '../base/freeze.js'

/** Keys in order, and the row of each. */
interface Page<Key, Row> {
  readonly keys: readonly Key[]
  readonly rows: readonly Row[]
}

interface OpenPage<Key, Row> extends Page<Key, Row> {
  readonly keys: Key[]
  readonly rows: Row[]
}

/** A page that grows beyond this is split. A change copies one page, and a version the list of them. */
const largestPage = 64

/**
 * Rows under keys, changed in place by one owner who hands out versions of them: a version never changes, shares with the one
 * before it whatever has stayed, and costs as much as was changed in between.
 *
 *     table.set('b', row)
 *     const version = table.version() // a map of frozen rows in the order of their keys
 */
export class VersionedTable<Key extends string, Row> {
  #version: TableVersion<Key, Row> = new TableVersion<Key, Row>([], 0)
  /** What was changed since; `undefined` was removed. */
  readonly #changed = new Map<Key, Row | undefined>()

  /** The row as it is now. */
  get(key: Key): Row | undefined {
    return this.#changed.has(key) ? this.#changed.get(key) : this.#version.get(key)
  }

  /** Puts a row, which is frozen from now on. */
  set(key: Key, row: Row): void {
    this.#changed.set(key, deepFreeze(row))
  }

  /** Takes a row away, if there is one. */
  delete(key: Key): void {
    if (this.#version.has(key)) this.#changed.set(key, undefined)
    else this.#changed.delete(key)
  }

  /** Takes every row away. */
  clear(): void {
    this.#version = new TableVersion<Key, Row>([], 0)
    this.#changed.clear()
  }

  /** The rows as they are now, for good; the same object as before when nothing was changed. */
  version(): TableVersion<Key, Row> {
    if (this.#changed.size === 0) return this.#version
    this.#version = this.#version.with(this.#changed)
    this.#changed.clear()
    return this.#version
  }
}

/** The rows of one instant, in the order of their keys; a read-only map, and as JSON an object. */
export class TableVersion<Key extends string, Row> implements ReadonlyMap<Key, Row> {
  readonly #pages: readonly Page<Key, Row>[]
  readonly size: number

  constructor(pages: readonly Page<Key, Row>[], size: number) {
    this.#pages = pages
    this.size = size
  }

  get(key: Key): Row | undefined {
    const page = this.#pages[pageOf(this.#pages, key)]
    if (page === undefined) return undefined
    const place = placeOf(page.keys, key)
    return page.keys[place] === key ? page.rows[place] : undefined
  }

  has(key: Key): boolean {
    const page = this.#pages[pageOf(this.#pages, key)]
    return page !== undefined && page.keys[placeOf(page.keys, key)] === key
  }

  forEach(visit: (row: Row, key: Key, map: ReadonlyMap<Key, Row>) => void): void {
    for (const { keys, rows } of this.#pages) {
      for (let place = 0; place < keys.length; place += 1) visit(rows[place] as Row, keys[place] as Key, this)
    }
  }

  *keys(): MapIterator<Key> {
    for (const { keys } of this.#pages) yield* keys
  }

  *values(): MapIterator<Row> {
    for (const { rows } of this.#pages) yield* rows
  }

  *entries(): MapIterator<[Key, Row]> {
    for (const { keys, rows } of this.#pages) {
      for (let place = 0; place < keys.length; place += 1) yield [keys[place] as Key, rows[place] as Row]
    }
  }

  [Symbol.iterator](): MapIterator<[Key, Row]> {
    return this.entries()
  }

  /** The rows by key, in order. */
  toJSON(): Readonly<Record<string, Row>> {
    return Object.fromEntries(this)
  }

  /** The version after these changes; `undefined` removes. */
  with(changes: ReadonlyMap<Key, Row | undefined>): TableVersion<Key, Row> {
    return changes.size > largestPage && changes.size > this.size / 4 ? this.#rebuilt(changes) : this.#patched(changes)
  }

  /** So many changes that every page would be another. */
  #rebuilt(changes: ReadonlyMap<Key, Row | undefined>): TableVersion<Key, Row> {
    const all = new Map<Key, Row | undefined>(this)
    for (const [key, row] of changes) all.set(key, row)
    const keys = [...all.keys()].filter((key) => all.get(key) !== undefined).sort(byText)
    const pages: Page<Key, Row>[] = []
    const full = largestPage / 2
    for (let start = 0; start < keys.length; start += full) {
      const some = keys.slice(start, start + full)
      pages.push({ keys: some, rows: some.map((key) => all.get(key) as Row) })
    }
    return new TableVersion(pages, keys.length)
  }

  #patched(changes: ReadonlyMap<Key, Row | undefined>): TableVersion<Key, Row> {
    const pages = [...this.#pages]
    /** Pages that were copied for this version already. */
    const open = new Set<Page<Key, Row>>()
    let { size } = this
    for (const [key, row] of changes) {
      const at = pageOf(pages, key)
      const page = openPage(pages, at, open)
      const place = placeOf(page.keys, key)
      if (page.keys[place] === key) {
        if (row !== undefined) {
          page.rows[place] = row
        } else {
          size -= 1
          page.keys.splice(place, 1)
          page.rows.splice(place, 1)
          if (page.keys.length === 0) pages.splice(at, 1)
        }
      } else if (row !== undefined) {
        size += 1
        page.keys.splice(place, 0, key)
        page.rows.splice(place, 0, row)
        if (page.keys.length > largestPage) split(pages, at, page, open)
      } else if (page.keys.length === 0) {
        pages.splice(at, 1)
      }
    }
    return new TableVersion(pages, size)
  }
}

/** The page at a place as one that may be changed: copied, unless it was for this version. */
function openPage<Key, Row>(pages: Page<Key, Row>[], at: number, open: Set<Page<Key, Row>>): OpenPage<Key, Row> {
  const page = pages[at] ?? { keys: [], rows: [] }
  if (open.has(page)) return page as OpenPage<Key, Row>
  const copy = { keys: page.keys.slice(), rows: page.rows.slice() }
  open.add(copy)
  pages[at] = copy
  return copy
}

function split<Key, Row>(
  pages: Page<Key, Row>[],
  at: number,
  { keys, rows }: OpenPage<Key, Row>,
  open: Set<Page<Key, Row>>,
): void {
  const half = keys.length >> 1
  const second = { keys: keys.splice(half), rows: rows.splice(half) }
  open.add(second)
  pages.splice(at + 1, 0, second)
}

/** The page that holds a key, or would: the last that does not begin after it. */
function pageOf<Key extends string, Row>(pages: readonly Page<Key, Row>[], key: Key): number {
  let low = 0
  let high = pages.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (((pages[middle] as Page<Key, Row>).keys[0] as Key) <= key) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

/** Where a key stands among others, or would. */
function placeOf<Key extends string>(keys: readonly Key[], key: Key): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] as Key) < key) low = middle + 1
    else high = middle
  }
  return low
}

function byText(one: string, other: string): number {
  return one < other ? -1 : 1
}
