/** First in, first out, up to a capacity; beyond it the oldest entry makes room. */
export class BoundedQueue<Entry> {
  readonly #capacity: number
  /** A ring: entry `n` since the beginning lives in slot `n % capacity`. */
  #slots: (Entry | undefined)[] = []
  #read = 0
  #written = 0

  constructor(capacity: number) {
    this.#capacity = Math.max(1, Math.trunc(capacity))
  }

  get size(): number {
    return this.#written - this.#read
  }

  /** Adds an entry; false when the oldest one had to go. */
  push(entry: Entry): boolean {
    const hasRoom = this.size < this.#capacity
    if (!hasRoom) this.#read += 1
    this.#slots[this.#written % this.#capacity] = entry
    this.#written += 1
    return hasRoom
  }

  /** Takes the oldest entry. */
  shift(): Entry | undefined {
    if (this.size === 0) return undefined
    const slot = this.#read % this.#capacity
    const entry = this.#slots[slot]
    this.#slots[slot] = undefined
    this.#read += 1
    return entry
  }

  /** Forgets all entries and says how many there were. */
  clear(): number {
    const { size } = this
    this.#slots = []
    this.#read = this.#written
    return size
  }
}
