import { onAbort } from '../base/abort.js'
import type { Clock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import { silence } from '../base/promises.js'
import { clientJson } from './json.js'
import type { HttpEvent } from './route.js'

/** Options of {@link eventPieces}. */
export interface EventTextOptions {
  readonly clock: Clock
  /** Milliseconds of silence after which a comment shows that the stream is alive. */
  readonly heartbeatMs: number
  /** Aborts when the client has disconnected. */
  readonly signal: AbortSignal
}

/**
 * Maximum number of bytes written to a connection at once. A client that does not read this much in time has stalled.
 */
const pieceSize = 64 * 1024

/**
 * Encodes events as Server-Sent Events, in pieces. The next event is requested only once the last piece was taken, so
 * at most one event is held. A timer runs only while waiting for an event, so a client that does not read has none.
 * Raises the signal's reason.
 */
export async function* eventPieces(
  events: AsyncIterable<HttpEvent>,
  options: EventTextOptions,
): AsyncGenerator<Uint8Array> {
  const iterator = events[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = new Arrival(iterator.next())
      while (!(await next.within(options))) yield Buffer.from(': still here\n\n')
      const result = next.result()
      if (result.done === true) return
      const bytes = Buffer.from(textOf(result.value))
      for (let start = 0; start < bytes.length; start += pieceSize) yield bytes.subarray(start, start + pieceSize)
    }
  } finally {
    // Not awaited: an iterator that ignores the signal may never return.
    void silence(Promise.resolve(iterator.return?.()))
  }
}

/**
 * Encodes one event. Raises `internal` if the name or id contains a line break or NUL, because it would be read as more
 * than one field or ignored.
 */
function textOf({ id, event, data, json = clientJson(data) }: HttpEvent): string {
  if (brokenLine.test(event) || (id !== undefined && brokenLine.test(id))) {
    throw new StatewardError('internal', 'an event has a line break in its name or id', {})
  }
  const head = id === undefined ? '' : `id: ${id}\n`
  return `${head}event: ${event}\ndata: ${json}\n\n`
}

// oxlint-disable-next-line no-control-regex -- a client ignores an id that holds this
const brokenLine = /[\r\n\0]/

/** The next event. It can be waited for repeatedly without accumulating promise handlers. */
class Arrival {
  #settled: (() => IteratorResult<HttpEvent>) | undefined
  #wake = (): void => {}

  constructor(next: Promise<IteratorResult<HttpEvent>>) {
    const settle = (result: () => IteratorResult<HttpEvent>): void => {
      this.#settled = result
      this.#wake()
    }
    next.then(
      (result) => settle(() => result),
      (reason: unknown) =>
        settle(() => {
          throw reason
        }),
    )
  }

  /** Resolves with true once the event has arrived, or with false after `heartbeatMs`. Raises the signal's reason. */
  async within({ clock, heartbeatMs, signal }: EventTextOptions): Promise<boolean> {
    signal.throwIfAborted()
    if (this.#settled !== undefined) return true
    let giveUp = (): void => {}
    await new Promise<void>((resolve) => {
      const timeout = clock.setTimeout(resolve, heartbeatMs)
      const forget = onAbort(signal, resolve)
      this.#wake = resolve
      giveUp = () => {
        clock.clearTimeout(timeout)
        forget()
      }
    })
    giveUp()
    signal.throwIfAborted()
    return this.#settled !== undefined
  }

  result(): IteratorResult<HttpEvent> {
    if (this.#settled === undefined) throw new Error('the event is not there yet')
    return this.#settled()
  }
}
