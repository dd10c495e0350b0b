import type { Sequenced } from './feed.js'

/** A record that is visible before it is known to be durable. */
export interface Pending extends Sequenced {
  /**
   * True until the record is confirmed as durable. A record that is never confirmed stays true, so `false` always
   * means durable.
   */
  readonly chainPending: boolean
}

/**
 * The latest records of a kind, oldest first. They are visible at once, each with a flag that says whether it is
 * durable yet.
 *
 * Records are frozen; confirming one replaces it by a copy. The list returned never changes afterwards, and is the
 * same array until something changes.
 */
export class RecordRing<Row extends Pending> {
  readonly #capacity: number
  #rows: Row[] = []
  #first = 0
  #list: readonly Row[] | undefined

  constructor(capacity: number) {
    this.#capacity = Math.max(1, Math.trunc(capacity))
  }

  /** How many records it holds. */
  get size(): number {
    return this.#rows.length - this.#first
  }

  /** The records, oldest first. */
  records(): readonly Row[] {
    this.#list ??= Object.freeze(this.#rows.slice(this.#first))
    return this.#list
  }

  /** Adds a record, whose `seq` must exceed all others. The oldest is dropped when there is no room. */
  push(row: Row): void {
    this.#list = undefined
    this.#rows.push(Object.freeze(row))
    if (this.size > this.#capacity) this.#first += 1
    // Dropped records are removed from the array once they are the larger half.
    if (this.#first <= this.#capacity) return
    this.#rows = this.#rows.slice(this.#first)
    this.#first = 0
  }

  /** Marks the record of this sequence as durable. A record that has been dropped already is ignored. */
  confirm(seq: number): void {
    const index = this.#indexOf(seq)
    const row = this.#rows[index]
    if (row?.seq !== seq || index < this.#first) return
    this.#list = undefined
    this.#rows[index] = Object.freeze({ ...row, chainPending: false })
  }

  /** Index of the first record whose sequence is not below `seq`. */
  #indexOf(seq: number): number {
    let low = this.#first
    let high = this.#rows.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#rows[middle] as Row).seq >= seq) high = middle
      else low = middle + 1
    }
    return low
  }
}
