interface Kept<Value> {
  readonly value: Value
  readonly size: number
}

/**
 * Values by key that were put in or asked for lately, so many that their sizes come to no more than a limit together.
 *
 * They are kept in two generations: what is put in or asked for is in the younger one, and when that is full, which is half of
 * the limit, the older one goes as a whole. To let the oldest value go one by one costs more than most values are worth: a map finds its
 * first entry by passing over all that were deleted before it.
 */
export class RecentValues<Value> {
  readonly #mostOfGeneration: number
  #young = new Map<string, Kept<Value>>()
  #old: Map<string, Kept<Value>> = new Map()
  /** Of the younger generation. */
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

  /** One that is larger than half of the limit is not kept, nor is what it would replace. */
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
