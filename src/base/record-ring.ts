import type { Sequenced } from './feed.js'

/** A record that is shown before it is known to be durable. */
export interface Pending extends Sequenced {
  /** True until it is confirmed; one that never is stays so for good, and `false` therefore means durable. */
  readonly chainPending: boolean
}

/**
 * The latest records of a kind, oldest first: shown at once, each with a flag that says whether it is durable yet.
 *
 * Records are frozen; a confirmed one is replaced by another that says so. The list that is handed out changes no more, and is
 * the same one until something has changed.
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

  /** Adds a record, whose `seq` exceeds that of every other; the oldest leaves when there is no room. */
  push(row: Row): void {
    this.#list = undefined
    this.#rows.push(Object.freeze(row))
    if (this.size > this.#capacity) this.#first += 1
    // The part that has left is cut off once it is the larger half.
    if (this.#first <= this.#capacity) return
    this.#rows = this.#rows.slice(this.#first)
    this.#first = 0
  }

  /** The record of this sequence is durable. One that has left the ring is not missed. */
  confirm(seq: number): void {
    const index = this.#indexOf(seq)
    const row = this.#rows[index]
    if (row?.seq !== seq || index < this.#first) return
    this.#list = undefined
    this.#rows[index] = Object.freeze({ ...row, chainPending: false })
  }

  /** Index of the first record whose sequence is not below this one. */
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
