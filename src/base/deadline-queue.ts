import type { Clock, TimeoutHandle } from './clock.js'

/** A pending deadline. Disposing it cancels it at a cost of O(log n). */
export interface Deadline extends Disposable {
  /** When it is due, in monotonic milliseconds. */
  readonly dueAt: number
}

interface Entry extends Deadline {
  readonly callback: () => void
  readonly order: number
  /** Index in the heap; -1 once it has fired or been disposed. */
  place: number
}

/** The longest delay that a Node timer supports. Later deadlines are reached in several steps. */
const longestTimer = 2 ** 31 - 1

/**
 * All deadlines of one owner behind a single timer.
 *
 * XState scans every pending timer of the system whenever any actor ends, so a delay per operation would make each
 * completion cost O(live operations). Here, setting and cancelling a deadline cost O(log n), and there is one timer,
 * set for the earliest deadline.
 */
export class DeadlineQueue implements Disposable {
  readonly #clock: Clock
  readonly #heap: Entry[] = []
  #nextOrder = 0
  #timer: TimeoutHandle
  #armedFor = Number.POSITIVE_INFINITY
  #firing = false
  #disposed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many deadlines are pending. */
  get size(): number {
    return this.#heap.length
  }

  /** When the earliest deadline is due, in monotonic milliseconds. */
  get nextDueAt(): number | undefined {
    return this.#heap[0]?.dueAt
  }

  /**
   * Calls `callback` once, `delay` milliseconds from now. Deadlines due at the same time fire in the order in which
   * they were set.
   */
  after(delay: number, callback: () => void): Deadline {
    return this.at(this.#clock.monotonicNow() + delay, callback)
  }

  /** Calls `callback` once the monotonic clock reaches `dueAt`. An instant in the past fires with the next timers. */
  at(dueAt: number, callback: () => void): Deadline {
    const entry: Entry = {
      dueAt,
      callback,
      order: this.#nextOrder++,
      place: -1,
      [Symbol.dispose]: () => this.#forget(entry),
    }
    if (this.#disposed) return entry
    entry.place = this.#heap.push(entry) - 1
    this.#rise(entry)
    this.#arm()
    return entry
  }

  /** Cancels every deadline and its timer. */
  [Symbol.dispose](): void {
    this.#disposed = true
    for (const entry of this.#heap) entry.place = -1
    this.#heap.length = 0
    this.#arm()
  }

  #arm(): void {
    if (this.#firing) return
    const earliest = this.#heap[0]?.dueAt ?? Number.POSITIVE_INFINITY
    if (earliest === this.#armedFor) return
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#armedFor = earliest
    if (earliest === Number.POSITIVE_INFINITY) return
    const delay = Math.max(0, earliest - this.#clock.monotonicNow())
    this.#timer = this.#clock.setTimeout(() => this.#fire(), Math.min(Math.ceil(delay), longestTimer))
  }

  #fire(): void {
    this.#timer = undefined
    this.#armedFor = Number.POSITIVE_INFINITY
    this.#firing = true
    try {
      const now = this.#clock.monotonicNow()
      for (let next = this.#heap[0]; next !== undefined && next.dueAt <= now; next = this.#heap[0]) {
        this.#forget(next)
        next.callback()
      }
    } finally {
      this.#firing = false
      this.#arm()
    }
  }

  #forget(entry: Entry): void {
    const { place } = entry
    if (place === -1) return
    entry.place = -1
    const last = this.#heap.pop() as Entry
    if (last !== entry) {
      this.#put(last, place)
      this.#rise(last)
      this.#sink(last)
    }
    this.#arm()
  }

  #rise(entry: Entry): void {
    while (entry.place > 0) {
      const parent = this.#heap[(entry.place - 1) >> 1] as Entry
      if (!isBefore(entry, parent)) return
      this.#swap(entry, parent)
    }
  }

  #sink(entry: Entry): void {
    for (;;) {
      const left = this.#heap[2 * entry.place + 1]
      const right = this.#heap[2 * entry.place + 2]
      const child = left !== undefined && right !== undefined && isBefore(right, left) ? right : left
      if (child === undefined || !isBefore(child, entry)) return
      this.#swap(child, entry)
    }
  }

  #swap(one: Entry, other: Entry): void {
    const { place } = one
    this.#put(one, other.place)
    this.#put(other, place)
  }

  #put(entry: Entry, place: number): void {
    entry.place = place
    this.#heap[place] = entry
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.dueAt < other.dueAt || (one.dueAt === other.dueAt && one.order < other.order)
}
