/** A first-in, first-out queue with a capacity. When it is full, adding an entry drops the oldest one. */
export class BoundedQueue<Entry> {
  readonly #capacity: number
  /** A ring buffer: entry `n`, counted from the beginning, is in slot `n % capacity`. */
  #slots: (Entry | undefined)[] = []
  #read = 0
  #written = 0

  constructor(capacity: number) {
    this.#capacity = Math.max(1, Math.trunc(capacity))
  }

  get size(): number {
    return this.#written - this.#read
  }

  /** Adds an entry. Returns false when the oldest one was dropped for it. */
  push(entry: Entry): boolean {
    const hasRoom = this.size < this.#capacity
    if (!hasRoom) this.#read += 1
    this.#slots[this.#written % this.#capacity] = entry
    this.#written += 1
    return hasRoom
  }

  /** Removes and returns the oldest entry. */
  shift(): Entry | undefined {
    if (this.size === 0) return undefined
    const slot = this.#read % this.#capacity
    const entry = this.#slots[slot]
    this.#slots[slot] = undefined
    this.#read += 1
    return entry
  }

  /** Removes all entries and returns how many there were. */
  clear(): number {
    const { size } = this
    this.#slots = []
    this.#read = this.#written
    return size
  }
}
