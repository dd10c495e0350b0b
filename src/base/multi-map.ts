/** The values of a key that has none: always the same array, so that callers can compare by identity. */
export const noValues: readonly never[] = Object.freeze([])

/** Sets of values by key. A set that becomes empty is removed. */
export class MultiMap<Key, Value> {
  readonly #sets = new Map<Key, Set<Value>>()

  /** How many keys have values. */
  get size(): number {
    return this.#sets.size
  }

  /**
   * The values of a key in the order they were added. The result is live, or {@link noValues} if the key has none
   * now.
   */
  get(key: Key): Iterable<Value> {
    const set = this.#sets.get(key)
    // The set itself is not returned: a caller could change it.
    return set === undefined ? noValues : { [Symbol.iterator]: () => (this.#sets.get(key) ?? noValues).values() }
  }

  /** Adds a value. */
  add(key: Key, value: Value): void {
    const set = this.#sets.get(key)
    if (set === undefined) this.#sets.set(key, new Set([value]))
    else set.add(value)
  }

  /** Removes a value. */
  delete(key: Key, value: Value): void {
    const set = this.#sets.get(key)
    if (set?.delete(value) === true && set.size === 0) this.#sets.delete(key)
  }
}
