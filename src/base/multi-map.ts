/** What a key without values has: always the same, so that whoever reads can tell at once. */
export const noValues: readonly never[] = Object.freeze([])

/** Sets by key; an empty set is forgotten. */
export class MultiMap<Key, Value> {
  readonly #sets = new Map<Key, Set<Value>>()

  /** The values of a key in the order they were added; live, or {@link noValues} where there is none now. */
  get(key: Key): Iterable<Value> {
    const set = this.#sets.get(key)
    // Not the set itself: whoever reads could change it.
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
