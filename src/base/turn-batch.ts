/**
 * Collects items during a turn of the event loop and delivers them in the next one, each once, in order of first
 * arrival. At most `most` items are delivered per turn, so that large numbers do not block the loop.
 */
export class TurnBatch<Item> implements Disposable {
  readonly #most: number
  readonly #take: (items: readonly Item[]) => void
  readonly #items = new Set<Item>()
  #scheduled: NodeJS.Immediate | undefined

  /** `take` must not throw. */
  constructor(most: number, take: (items: readonly Item[]) => void) {
    this.#most = most
    this.#take = take
  }

  /** Adds an item unless it is waiting already. */
  add(item: Item): void {
    this.#items.add(item)
    this.#scheduled ??= setImmediate(this.#onTurn)
  }

  /** Delivers everything left at once and cancels the pending turn. */
  [Symbol.dispose](): void {
    if (this.#scheduled === undefined) return
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    this.#handOver(this.#items.size)
  }

  readonly #onTurn = (): void => {
    this.#scheduled = undefined
    this.#handOver(this.#most)
    if (this.#items.size > 0) this.#scheduled ??= setImmediate(this.#onTurn)
  }

  #handOver(most: number): void {
    const items: Item[] = []
    for (const item of this.#items) {
      if (items.length === most) break
      this.#items.delete(item)
      items.push(item)
    }
    this.#take(items)
  }
}
