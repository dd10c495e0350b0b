import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'

/** Longest sleep, in milliseconds, before the wall clock is read again, since it may have been set forward. */
const longestSleepMs = 60_000

/** The one timer for the next thing that is due by the wall clock. */
export class CalendarWake implements Disposable {
  readonly #deadlines: DeadlineQueue
  readonly #onDue: () => void
  #wake: Deadline | undefined
  #wakeAt: number | undefined

  /** `onDue` is called when something may be due. */
  constructor(deadlines: DeadlineQueue, onDue: () => void) {
    this.#deadlines = deadlines
    this.#onDue = onDue
  }

  /** Sets the timer for the earliest of these times, in epoch milliseconds, that is after `wall`, the time now. */
  arm(wall: number, one: number | undefined, other: number | undefined): void {
    const wakeAt = earlier(ahead(one, wall), ahead(other, wall))
    if (wakeAt === this.#wakeAt) return
    this.#wake?.[Symbol.dispose]()
    this.#wakeAt = wakeAt
    if (wakeAt === undefined) return
    const delay = Math.min(wakeAt - wall, longestSleepMs)
    this.#wake = this.#deadlines.after(delay, () => {
      this.#wakeAt = undefined
      this.#onDue()
    })
  }

  /** Clears the timer. */
  [Symbol.dispose](): void {
    this.#wake?.[Symbol.dispose]()
  }
}

/** A time that is still ahead; what is already due waits for something else. */
function ahead(time: number | undefined, wall: number): number | undefined {
  return time !== undefined && time > wall ? time : undefined
}

function earlier(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return Math.min(one, other)
}
