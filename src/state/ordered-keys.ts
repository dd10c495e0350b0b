/** Keys in order, and the slot of each. */
interface Page<Key> {
  readonly keys: readonly Key[]
  readonly slots: readonly number[]
}

/** A page that may be changed. */
interface OpenPage<Key> {
  readonly keys: Key[]
  readonly slots: number[]
}

/** A page that exceeds this is split. A change copies one page and the list of pages. */
const largestPage = 32
/** Number of keys in a new page, which leaves room for more. */
const fullPage = 24

/** An immutable sorted list of keys, each with the slot of its value. */
export class OrderedKeys<Key extends string> {
  static readonly empty: OrderedKeys<never> = new OrderedKeys<never>([], 0)
  readonly size: number
  readonly #pages: readonly Page<Key>[]
  /** The first key of each page. Searching for a page reads only these. */
  readonly #firsts: readonly Key[]

  private constructor(pages: readonly Page<Key>[], size: number, firsts: readonly Key[] = pages.map(firstOf)) {
    this.#pages = pages
    this.#firsts = firsts
    this.size = size
  }

  /** Creates the list from sorted keys. The slot of each is its index. */
  static of<Key extends string>(keys: readonly Key[]): OrderedKeys<Key> {
    const pages: Page<Key>[] = []
    for (let start = 0; start < keys.length; start += fullPage) {
      const some = keys.slice(start, start + fullPage)
      pages.push({ keys: some, slots: some.map((_, index) => start + index) })
    }
    return new OrderedKeys(pages, keys.length)
  }

  /** The slot of the key; `undefined` if it is not in the list. */
  slotOf(key: Key): number | undefined {
    const page = this.#pages[pageOf(this.#firsts, key)]
    if (page === undefined) return undefined
    const place = placeOf(page.keys, key)
    return page.keys[place] === key ? page.slots[place] : undefined
  }

  forEach(visit: (key: Key, slot: number) => void): void {
    for (const { keys, slots } of this.#pages) {
      for (let place = 0; place < keys.length; place += 1) visit(keys[place] as Key, slots[place] as number)
    }
  }

  *[Symbol.iterator](): Generator<readonly [key: Key, slot: number]> {
    for (const { keys, slots } of this.#pages) {
      for (let place = 0; place < keys.length; place += 1) yield [keys[place] as Key, slots[place] as number]
    }
  }

  /**
   * Returns a list in which each changed key has its slot from `slots`, or is absent if it has none there. A key may
   * be named several times.
   */
  with(changed: readonly Key[], slots: ReadonlyMap<Key, number>): OrderedKeys<Key> {
    const pages = this.#pages.slice()
    const firsts = this.#firsts.slice()
    /** Pages that have already been copied for the new list. */
    const open = new Set<Page<Key>>()
    let { size } = this
    for (const key of changed) {
      const slot = slots.get(key)
      const at = pageOf(firsts, key)
      const page = openPage(pages, at, open)
      const place = placeOf(page.keys, key)
      const isThere = page.keys[place] === key
      if (slot === undefined) {
        if (isThere) {
          size -= 1
          page.keys.splice(place, 1)
          page.slots.splice(place, 1)
        }
      } else if (isThere) page.slots[place] = slot
      else {
        size += 1
        page.keys.splice(place, 0, key)
        page.slots.splice(place, 0, slot)
        if (page.keys.length > largestPage) split(pages, firsts, at, open)
      }
      if (page.keys.length > 0) {
        firsts[at] = firstOf(page)
      } else {
        pages.splice(at, 1)
        firsts.splice(at, 1)
      }
    }
    return new OrderedKeys(pages, size, firsts)
  }
}

/** The page at this index for changing: copied, unless it has been copied for this list already. */
function openPage<Key>(pages: Page<Key>[], at: number, open: Set<Page<Key>>): OpenPage<Key> {
  const page = pages[at] ?? { keys: [], slots: [] }
  if (open.has(page)) return page as OpenPage<Key>
  const copy = { keys: page.keys.slice(), slots: page.slots.slice() }
  open.add(copy)
  pages[at] = copy
  return copy
}

/** Splits a page in two. */
function split<Key>(pages: Page<Key>[], firsts: Key[], at: number, open: Set<Page<Key>>): void {
  const page = openPage(pages, at, open)
  const half = page.keys.length >> 1
  const second = { keys: page.keys.splice(half), slots: page.slots.splice(half) }
  open.add(second)
  pages.splice(at + 1, 0, second)
  firsts.splice(at + 1, 0, firstOf(second))
}

function firstOf<Key>({ keys }: Page<Key>): Key {
  return keys[0] as Key
}

/** Index of the page that contains a key or would contain it: the last that does not begin after it. */
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

/** Index of a key among others, or where it would be inserted. */
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
