import type { Clock, TimeoutHandle } from '../../base/clock.js'

/** Options of a {@link Presence}. */
export interface PresenceOptions {
  readonly clock: Clock
  /** How long after leaving the last one still counts as present, in milliseconds. */
  readonly lingerMs: number
  /** The first one has come. */
  readonly onBegin: () => void
  /** The last one has left. */
  readonly onEnd: () => void
}

/** Whether anybody looks: viewers who follow the stream, and single requests. */
export class Presence {
  readonly #options: PresenceOptions
  #present = 0
  #isBegun = false
  #isClosed = false
  #timer: TimeoutHandle

  constructor(options: PresenceOptions) {
    this.#options = options
  }

  /** Somebody has come; the result is to be called when they leave. */
  come(): () => void {
    this.#present += 1
    this.#stopTimer()
    if (!this.#isBegun && !this.#isClosed) {
      this.#isBegun = true
      this.#options.onBegin()
    }
    return () => {
      this.#present -= 1
      if (this.#present > 0 || !this.#isBegun) return
      this.#stopTimer()
      this.#timer = this.#options.clock.setTimeout(() => this.#end(), this.#options.lingerMs)
    }
  }

  /** From now on nobody counts as present. */
  close(): void {
    this.#isClosed = true
    this.#end()
  }

  #end(): void {
    this.#stopTimer()
    if (!this.#isBegun) return
    this.#isBegun = false
    this.#options.onEnd()
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
