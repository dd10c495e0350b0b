import { onAbort } from '../base/abort.js'
import { createDeferred, type Deferred } from '../base/promises.js'
import type { DaemonControl } from './control-event.js'

/** How many control events wait for a daemon; further ones are dropped and counted. */
const capacity = 8

/**
 * The control events that a daemon has not read yet, at most eight. For a daemon that does not read, the newest are
 * dropped (N-434).
 */
export class DaemonControls {
  readonly #waiting: DaemonControl[] = []
  readonly #readers: Deferred<DaemonControl | undefined>[] = []
  #dropped = 0
  #isClosed = false

  /** The number of dropped events. */
  get dropped(): number {
    return this.#dropped
  }

  /** Waits for the next control event; `undefined` after the last one, or when the signal aborts. */
  next(options: { readonly signal?: AbortSignal } = {}): Promise<DaemonControl | undefined> {
    const waiting = this.#waiting.shift()
    if (waiting !== undefined || this.#isClosed || options.signal?.aborted === true) return Promise.resolve(waiting)
    const reader = createDeferred<DaemonControl | undefined>()
    this.#readers.push(reader)
    if (options.signal === undefined) return reader.promise
    const forget = onAbort(options.signal, () => {
      const index = this.#readers.indexOf(reader)
      if (index >= 0) this.#readers.splice(index, 1)
      reader.resolve(undefined)
    })
    return reader.promise.finally(forget)
  }

  /** The next control event, if there is one now. */
  tryNext(): DaemonControl | undefined {
    return this.#waiting.shift()
  }

  /** Adds a control event; false when it is dropped. */
  push(control: DaemonControl): boolean {
    if (this.#isClosed) return false
    const reader = this.#readers.shift()
    if (reader !== undefined) reader.resolve(control)
    else if (this.#waiting.length < capacity) this.#waiting.push(control)
    else {
      this.#dropped += 1
      return false
    }
    return true
  }

  /** Ends the controls; those that wait can still be read. */
  close(): void {
    this.#isClosed = true
    for (const reader of this.#readers.splice(0)) reader.resolve(undefined)
  }
}
