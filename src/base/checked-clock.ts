import { systemClock, type Clock, type TimeoutHandle } from './clock.js'
import { InvalidInputError } from './errors.js'
import { textOf } from './options.js'

/** The latest instant that a `Date` can hold, in epoch milliseconds. */
const latestInstant = 8.64e15

/**
 * Checks a caller's clock against its contract. A reading that breaks the contract is never passed on: callers get
 * the last good one, so that an end that is due is still recorded. Entry points that begin something call {@link
 * checkClock} and refuse.
 */
class CheckedClock implements Clock {
  readonly #clock: Clock
  #wall = 0
  #monotonic = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
    this.check()
  }

  wallNow(): number {
    try {
      const now = this.#clock.wallNow()
      if (isInstant(now)) this.#wall = now
    } catch {
      // The next check reads the clock again and reports this.
    }
    return this.#wall
  }

  monotonicNow(): number {
    try {
      const now = this.#clock.monotonicNow()
      if (this.#isNext(now)) this.#monotonic = now
    } catch {
      // The next check reads the clock again and reports this.
    }
    return this.#monotonic
  }

  setTimeout(callback: () => void, delay: number): TimeoutHandle {
    return this.#clock.setTimeout(callback, delay)
  }

  clearTimeout(handle: TimeoutHandle): void {
    this.#clock.clearTimeout(handle)
  }

  check(): void {
    const wall = read('wallNow', () => this.#clock.wallNow())
    if (!isInstant(wall)) refuse('wallNow', `not epoch milliseconds: ${textOf(wall)}`)
    this.#wall = wall
    const monotonic = read('monotonicNow', () => this.#clock.monotonicNow())
    if (!Number.isFinite(monotonic)) refuse('monotonicNow', `not milliseconds: ${textOf(monotonic)}`)
    if (!this.#isNext(monotonic)) refuse('monotonicNow', `went back from ${this.#monotonic} to ${monotonic}`)
    this.#monotonic = monotonic
  }

  #isNext(now: number): boolean {
    return Number.isFinite(now) && now >= this.#monotonic
  }
}

/** Wraps a clock in a check of its contract. Throws `invalid_input` if it breaks the contract already. */
export function checkedClock(clock: Clock): Clock {
  return clock === systemClock ? clock : new CheckedClock(clock)
}

/** Throws `invalid_input` if a clock made by {@link checkedClock} breaks its contract now. */
export function checkClock(clock: Clock): void {
  if (clock instanceof CheckedClock) clock.check()
}

function isInstant(now: unknown): now is number {
  return typeof now === 'number' && now >= 0 && now <= latestInstant
}

function read(field: string, ask: () => number): number {
  try {
    return ask()
  } catch (cause) {
    throw new InvalidInputError({ subject: 'clock', field, reason: 'threw' }, { cause })
  }
}

function refuse(field: string, reason: string): never {
  throw new InvalidInputError({ subject: 'clock', field, reason })
}
