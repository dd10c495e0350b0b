import { deepFreeze } from '../base/freeze.js'

/** Keys in order, and the row of each. */
interface Page<Key, Row> {
  readonly keys: readonly Key[]
  readonly rows: readonly Row[]
}

/** A page that may be changed; its keys are those of the page that it was copied from until one comes or goes. */
interface OpenPage<Key, Row> {
  keys: readonly Key[]
  readonly rows: Row[]
}

/** A page that grows beyond this is split. A change copies one page, and a version the list of them. */
const largestPage = 32

/**
 * Rows under keys, changed in place by one owner who hands out versions of them: a version never changes, shares with the one
 * before it whatever has stayed, and costs as much as was changed in between.
 *
 *     table.set('b', row)
 *     const version = table.version() // a map of frozen rows in the order of their keys
 */
export class VersionedTable<Key extends string, Row> {
  readonly #rows = new Map<Key, Row>()
  #version: TableVersion<Key, Row> = new TableVersion<Key, Row>([], 0)
  /** The keys of what was changed since the version, some more than once. */
  #changed: Key[] = []

  /** The row as it is now. */
  get(key: Key): Row | undefined {
    return this.#rows.get(key)
  }

  /** Puts a row, which is frozen from now on. */
  set(key: Key, row: Row): void {
    deepFreeze(row)
    this.#rows.set(key, row)
    this.#note(key)
  }

  /** Takes a row away, if there is one. */
  delete(key: Key): void {
    if (this.#rows.delete(key)) this.#note(key)
  }

  /** Takes every row away. */
  clear(): void {
    for (const key of this.#rows.keys()) this.#changed.push(key)
    this.#rows.clear()
  }

  /** The rows as they are now, for good; the same object as before when nothing was changed. */
  version(): TableVersion<Key, Row> {
    const changed = this.#changed
    if (changed.length === 0) return this.#version
    const isMost = changed.length > largestPage && changed.length > this.#rows.size / 4
    this.#version = isMost ? versionOf(this.#rows) : this.#version.with(changed, this.#rows)
    this.#changed = []
    return this.#version
  }

  /** What changes often changes several times in a row. */
  #note(key: Key): void {
    const changed = this.#changed
    if (changed[changed.length - 1] !== key) changed.push(key)
  }
}

/** The rows of one instant, in the order of their keys; a read-only map, and as JSON an object. */
export class TableVersion<Key extends string, Row> implements ReadonlyMap<Key, Row> {
  readonly #pages: readonly Page<Key, Row>[]
  /** The first key of each page: a search looks at these alone. */
  readonly #firsts: readonly Key[]
  readonly size: number

  constructor(pages: readonly Page<Key, Row>[], size: number, firsts: readonly Key[] = pages.map(firstOf)) {
    this.#pages = pages
    this.#firsts = firsts
    this.size = size
  }

  get(key: Key): Row | undefined {
    const page = this.#pages[pageOf(this.#firsts, key)]
    if (page === undefined) return undefined
    const place = placeOf(page.keys, key)
    return page.keys[place] === key ? page.rows[place] : undefined
  }

  has(key: Key): boolean {
    const page = this.#pages[pageOf(this.#firsts, key)]
    return page !== undefined && page.keys[placeOf(page.keys, key)] === key
  }

  forEach(visit: (row: Row, key: Key, map: ReadonlyMap<Key, Row>) => void): void {
    for (const { keys, rows } of this.#pages) {
      for (let place = 0; place < keys.length; place += 1) visit(rows[place] as Row, keys[place] as Key, this)
    }
  }

  *keys(): ReturnType<ReadonlyMap<Key, Row>['keys']> {
    for (const { keys } of this.#pages) yield* keys
  }

  *values(): ReturnType<ReadonlyMap<Key, Row>['values']> {
    for (const { rows } of this.#pages) yield* rows
  }

  *entries(): ReturnType<ReadonlyMap<Key, Row>['entries']> {
    for (const { keys, rows } of this.#pages) {
      for (let place = 0; place < keys.length; place += 1) yield [keys[place] as Key, rows[place] as Row]
    }
  }

  [Symbol.iterator](): ReturnType<ReadonlyMap<Key, Row>['entries']> {
    return this.entries()
  }

  /** The rows by key, in order. */
  toJSON(): Readonly<Record<string, Row>> {
    return Object.fromEntries(this)
  }

  /** The version in which these keys have the rows that they have there, or none. */
  with(changed: readonly Key[], now: ReadonlyMap<Key, Row>): TableVersion<Key, Row> {
    const pages = this.#pages.slice()
    /** Pages that were copied for this version already. */
    const open = new Set<Page<Key, Row>>()
    const others: [key: Key, row: Row | undefined][] = []
    for (const key of changed) {
      const row = now.get(key)
      const at = pageOf(this.#firsts, key)
      const page = pages[at]
      const place = page === undefined ? 0 : placeOf(page.keys, key)
      if (row !== undefined && page?.keys[place] === key) openPage(pages, at, open).rows[place] = row
      else others.push([key, row])
    }
    if (others.length === 0) return new TableVersion(pages, this.size, this.#firsts)
    const firsts = this.#firsts.slice()
    let { size } = this
    for (const [key, row] of others) {
      const at = pageOf(firsts, key)
      const page = openPage(pages, at, open)
      const place = placeOf(page.keys, key)
      if (row !== undefined && page.keys[place] === key) {
        // Named twice.
        page.rows[place] = row
      } else if (row !== undefined) {
        size += 1
        page.keys = page.keys.toSpliced(place, 0, key)
        page.rows.splice(place, 0, row)
        if (page.keys.length > largestPage) split(pages, firsts, at, open)
      } else if (page.keys[place] === key) {
        size -= 1
        page.keys = page.keys.toSpliced(place, 1)
        page.rows.splice(place, 1)
      }
      if (page.keys.length > 0) {
        firsts[at] = firstOf(page)
      } else {
        pages.splice(at, 1)
        firsts.splice(at, 1)
      }
    }
    return new TableVersion(pages, size, firsts)
  }
}

/** A version made from all rows, where so many have changed that every page would be another. */
function versionOf<Key extends string, Row>(rows: ReadonlyMap<Key, Row>): TableVersion<Key, Row> {
  const keys = [...rows.keys()].sort(byText)
  const pages: Page<Key, Row>[] = []
  // With room for more.
  const full = (largestPage * 3) / 4
  for (let start = 0; start < keys.length; start += full) {
    const some = keys.slice(start, start + full)
    pages.push({ keys: some, rows: some.map((key) => rows.get(key) as Row) })
  }
  return new TableVersion(pages, keys.length)
}

/** The page at a place as one that may be changed: copied, unless it was for this version. */
function openPage<Key, Row>(pages: Page<Key, Row>[], at: number, open: Set<Page<Key, Row>>): OpenPage<Key, Row> {
  const page = pages[at] ?? { keys: [], rows: [] }
  if (open.has(page)) return page as OpenPage<Key, Row>
  const copy = { keys: page.keys, rows: page.rows.slice() }
  open.add(copy)
  pages[at] = copy
  return copy
}

/** Makes two pages of one. */
function split<Key, Row>(pages: Page<Key, Row>[], firsts: Key[], at: number, open: Set<Page<Key, Row>>): void {
  const page = openPage(pages, at, open)
  const half = page.keys.length >> 1
  const second = { keys: page.keys.slice(half), rows: page.rows.splice(half) }
  page.keys = page.keys.slice(0, half)
  open.add(second)
  pages.splice(at + 1, 0, second)
  firsts.splice(at + 1, 0, firstOf(second))
}

function firstOf<Key, Row>({ keys }: Page<Key, Row>): Key {
  return keys[0] as Key
}

/** The page that holds a key, or would: the last that does not begin after it. */
function pageOf<Key extends string>(firsts: readonly Key[], key: Key): number {
  let low = 0
  let high = firsts.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((firsts[middle] as Key) <= key) low = middle + 1
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
