import type { Clock, TimeoutHandle } from '../../base/clock.js'
import type { Sample, ViewName } from '../stream/protocol.js'
import { Viewer } from './viewer.js'

/** The delay from an entry to its message, and from a change of a view to its notice, in milliseconds. */
const entryPauseMs = 50
const changePauseMs = 250

/** The viewers of a stream. Each is woken a moment after there is something to send, with all of it at once. */
export class Viewers {
  readonly #clock: Clock
  readonly #viewers = new Set<Viewer>()
  #entryTimer: TimeoutHandle
  #changeTimer: TimeoutHandle

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#viewers.size
  }

  enter(): Viewer {
    const viewer = new Viewer()
    this.#viewers.add(viewer)
    return viewer
  }

  leave(viewer: Viewer): void {
    this.#viewers.delete(viewer)
  }

  /** There is a new entry in the stream. */
  tellEntries(): void {
    if (this.#entryTimer !== undefined || this.#viewers.size === 0) return
    this.#entryTimer = this.#clock.setTimeout(() => {
      this.#entryTimer = undefined
      this.wake()
    }, entryPauseMs)
  }

  /** These views have changed. */
  touch(views: readonly ViewName[]): void {
    for (const viewer of this.#viewers) viewer.touch(views)
    if (this.#changeTimer !== undefined || this.#viewers.size === 0) return
    this.#changeTimer = this.#clock.setTimeout(() => {
      this.#changeTimer = undefined
      this.wake()
    }, changePauseMs)
  }

  /** What was said in the greeting has changed: everybody is greeted again. */
  greet(): void {
    for (const viewer of this.#viewers) viewer.greet()
    this.wake()
  }

  sample(sample: Sample): void {
    for (const viewer of this.#viewers) viewer.sample(sample)
    this.wake()
  }

  wake(): void {
    for (const viewer of this.#viewers) viewer.wake()
  }

  /** Stops the timers. */
  stop(): void {
    for (const timer of [this.#entryTimer, this.#changeTimer]) if (timer !== undefined) this.#clock.clearTimeout(timer)
    this.#entryTimer = this.#changeTimer = undefined
  }
}
