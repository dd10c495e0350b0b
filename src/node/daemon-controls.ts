import { onAbort } from '../base/abort.js'
import { createDeferred, type Deferred } from '../base/promises.js'
import type { DaemonControl } from './control-event.js'

/** How many control events wait for a daemon; a further one is lost, and counted. */
const capacity = 8

/**
 * What a daemon has been told and has not read yet. At most eight are kept: of a daemon that does not read, the newest are lost
 * (N-434).
 */
export class DaemonControls {
  readonly #waiting: DaemonControl[] = []
  readonly #readers: Deferred<DaemonControl | undefined>[] = []
  #dropped = 0
  #isClosed = false

  /** Events that were lost. */
  get dropped(): number {
    return this.#dropped
  }

  /** The next control event; `undefined` once nothing follows, or when the signal aborts. */
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

  /** The next control event if there is one now. */
  tryNext(): DaemonControl | undefined {
    return this.#waiting.shift()
  }

  /** Tells the daemon something; false when it is lost. */
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

  /** Nothing follows; what waits can still be read. */
  close(): void {
    this.#isClosed = true
    for (const reader of this.#readers.splice(0)) reader.resolve(undefined)
  }
}
