import type { Clock, TimeoutHandle } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { createDeferred } from '../base/promises.js'
import type { AdapterState, InspectorAdapter } from './adapter.js'
import type { StatelyInspectionEvent } from './protocol.js'
import type { OpenSocket, Socket } from './web-socket.js'

/** Options of a {@link WebSocketAdapter}. */
export interface WebSocketAdapterOptions {
  readonly url: string
  readonly openSocket: OpenSocket
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds between attempts to connect. */
  readonly reconnectMs: number
}

/** The amount of unsent text at which the adapter is busy, in UTF-16 units. */
const mostUnsent = 1024 * 1024

/** How long the server has to answer a close, in milliseconds. */
const closeGraceMs = 1000

/** Sends events to an inspector server, and reconnects at a steady pace until it is stopped. */
export class WebSocketAdapter implements InspectorAdapter {
  readonly #options: WebSocketAdapterOptions
  #onChange: () => void = () => {}
  #socket: Socket | undefined
  #isOpen = false
  #isStopped = false
  /** Text passed to the socket but not yet to the system. */
  #unsent = 0
  #isBusy = false
  #retry: TimeoutHandle
  readonly #closed = createDeferred<void>()

  constructor(options: WebSocketAdapterOptions) {
    this.#options = options
  }

  get state(): AdapterState {
    if (!this.#isOpen) return 'disconnected'
    return this.#isBusy ? 'busy' : 'ready'
  }

  start(onChange: () => void): void {
    this.#onChange = onChange
    this.#connect()
  }

  send(event: StatelyInspectionEvent): void {
    const socket = this.#socket
    if (socket === undefined || !this.#isOpen) return
    const text = JSON.stringify(event)
    this.#unsent += text.length
    this.#isBusy = this.#unsent >= mostUnsent
    socket.send(text, () => {
      // Texts of a broken connection do not concern the next one.
      if (socket !== this.#socket) return
      this.#unsent -= text.length
      if (!this.#isBusy || this.#unsent >= mostUnsent / 2) return
      this.#isBusy = false
      this.#onChange()
    })
  }

  async stop(): Promise<void> {
    const { clock } = this.#options
    this.#isStopped = true
    if (this.#retry !== undefined) clock.clearTimeout(this.#retry)
    const socket = this.#socket
    if (socket === undefined) return
    this.#isOpen = false
    const grace = clock.setTimeout(() => socket.terminate(), closeGraceMs)
    socket.close()
    await this.#closed.promise
    clock.clearTimeout(grace)
  }

  #connect(): void {
    const { url, openSocket, logger } = this.#options
    this.#retry = undefined
    const socket = openSocket(url)
    this.#socket = socket
    socket.on('open', () => {
      this.#isOpen = true
      this.#onChange()
    })
    // Always followed by a close.
    socket.on('error', ({ message }) => logger.debug({ url, cause: message }, 'the inspector is unreachable'))
    socket.on('close', () => this.#disconnected())
  }

  #disconnected(): void {
    const { clock, reconnectMs } = this.#options
    const wasOpen = this.#isOpen
    this.#socket = undefined
    this.#isOpen = false
    this.#isBusy = false
    this.#unsent = 0
    if (this.#isStopped) return this.#closed.resolve()
    this.#retry = clock.setTimeout(() => this.#connect(), reconnectMs)
    if (wasOpen) this.#onChange()
  }
}
