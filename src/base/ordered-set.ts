/** Number of items at which a block is split in two. */
const blockLimit = 512

/**
 * A sorted set with cheap insertion and removal anywhere, and iteration from the start.
 *
 * It has two sorted levels instead of a balanced tree: finding costs O(log n), and shifting within a block of at most
 * 512 references is one memory move. `compare` must be a total order in which equal means the same item.
 */
export class OrderedSet<Item> implements Iterable<Item> {
  readonly #compare: (one: Item, other: Item) => number
  readonly #blocks: Item[][] = []
  #size = 0

  constructor(compare: (one: Item, other: Item) => number) {
    this.#compare = compare
  }

  /** How many items it holds. */
  get size(): number {
    return this.#size
  }

  /** The smallest item. */
  get first(): Item | undefined {
    return this.#blocks[0]?.[0]
  }

  /** The greatest item. */
  get last(): Item | undefined {
    return this.#blocks.at(-1)?.at(-1)
  }

  /** Adds an item. An item that compares equal is replaced. */
  add(item: Item): void {
    const newest = this.#blocks.at(-1)
    if (newest === undefined || this.#compare(newest.at(-1) as Item, item) < 0) return this.#append(newest, item)
    const place = this.#blockFor(item)
    const block = this.#blocks[place] as Item[]
    const index = this.#indexIn(block, item)
    const found = block[index]
    if (found !== undefined && this.#compare(found, item) === 0) {
      block[index] = item
      return
    }
    block.splice(index, 0, item)
    this.#size += 1
    if (block.length > blockLimit) this.#split(place)
  }

  /** Removes the item that compares equal. Returns whether there was one. */
  delete(item: Item): boolean {
    const place = this.#blockFor(item)
    const block = this.#blocks[place]
    if (block === undefined) return false
    const index = this.#indexIn(block, item)
    const found = block[index]
    if (found === undefined || this.#compare(found, item) !== 0) return false
    if (index === block.length - 1) block.pop()
    else if (index === 0) block.shift()
    else block.splice(index, 1)
    if (block.length === 0) this.#blocks.splice(place, 1)
    this.#size -= 1
    return true
  }

  /** Yields the items in order. The set must not change while iterating. */
  *[Symbol.iterator](): Iterator<Item> {
    for (const block of this.#blocks) yield* block
  }

  /**
   * Yields the items after this one in order; the item itself need not be in the set. Finding the first costs O(log
   * n).
   */
  *after(item: Item): Iterable<Item> {
    const start = this.#blockFor(item)
    for (let place = start; place < this.#blocks.length; place++) {
      const block = this.#blocks[place] as Item[]
      let index = place === start ? this.#indexIn(block, item) : 0
      const found = block[index]
      if (place === start && found !== undefined && this.#compare(found, item) === 0) index += 1
      for (; index < block.length; index++) yield block[index] as Item
    }
  }

  /** Yields the items in order, up to the first that fails the test. */
  *while(test: (item: Item) => boolean): Iterable<Item> {
    for (const item of this) {
      if (!test(item)) return
      yield item
    }
  }

  /** Most items arrive in order, so blocks that are only appended to are filled up rather than split. */
  #append(newest: Item[] | undefined, item: Item): void {
    if (newest === undefined || newest.length === blockLimit) this.#blocks.push([item])
    else newest.push(item)
    this.#size += 1
  }

  /** Index of the first block whose last item is not before `item`. */
  #blockFor(item: Item): number {
    let low = 0
    let high = this.#blocks.length
    while (low < high) {
      const middle = (low + high) >> 1
      const block = this.#blocks[middle] as Item[]
      if (this.#compare(block[block.length - 1] as Item, item) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #indexIn(block: readonly Item[], item: Item): number {
    let low = 0
    let high = block.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(block[middle] as Item, item) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  #split(place: number): void {
    const block = this.#blocks[place] as Item[]
    this.#blocks.splice(place + 1, 0, block.splice(block.length >> 1))
  }
}
