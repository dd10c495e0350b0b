interface Kept<Value> {
  readonly value: Value
  readonly size: number
}

/**
 * A cache of recently used values by key, bounded by the sum of their sizes.
 *
 * Values are kept in two generations. A value that is set or read moves to the younger one; when that reaches half of
 * the limit, the older generation is dropped as a whole. Evicting one value at a time would cost more than most
 * values are worth: a map finds its first entry by passing over all that were deleted before it.
 */
export class RecentValues<Value> {
  readonly #mostOfGeneration: number
  #young = new Map<string, Kept<Value>>()
  #old: Map<string, Kept<Value>> = new Map()
  /** Sum of the sizes in the younger generation. */
  #size = 0

  constructor(limit: number) {
    this.#mostOfGeneration = limit / 2
  }

  get(key: string): Value | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young.value
    const old = this.#old.get(key)
    if (old !== undefined) this.#keep(key, old)
    return old?.value
  }

  /**
   * Stores a value. A value larger than half of the limit is not kept, and the one that it would replace is removed.
   */
  set(key: string, value: Value, size: number): void {
    this.#keep(key, { value, size })
  }

  #keep(key: string, kept: Kept<Value>): void {
    this.#size -= this.#young.get(key)?.size ?? 0
    this.#young.delete(key)
    if (kept.size > this.#mostOfGeneration) {
      this.#old.delete(key)
      return
    }
    if (this.#size + kept.size > this.#mostOfGeneration) {
      this.#old = this.#young
      this.#young = new Map()
      this.#size = 0
    }
    this.#young.set(key, kept)
    this.#size += kept.size
  }
}
