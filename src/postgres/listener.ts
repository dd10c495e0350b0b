import { faultFields } from '../base/error-details.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import { guardedLogger, createObserverGuard } from '../base/observers.js'
import type { Logger } from '../base/logger.js'
import { textOf } from '../base/options.js'
import { silence } from '../base/promises.js'
import type { PgNotification } from './client.js'
import type { PostgresDatabase } from './database.js'
import { pauseAfter } from './retry.js'

/** What is told to whoever listens. */
export interface ListenerOptions {
  /** A lower-case name; what is sent to `pg_notify` under it arrives here. */
  readonly channel: string
  /** Something was sent. */
  readonly onMessage: (payload: string) => void
  /** The connection stands, for the first time or again: what was sent before has not arrived, so look at everything. */
  readonly onConnect: () => void
  readonly logger?: Logger
}

/**
 * Hears what is sent to a channel, over a connection of its own that is made again when it breaks. A hint only: what is
 * sent while there is no connection never arrives.
 */
export class PostgresListener implements AsyncDisposable {
  readonly #database: PostgresDatabase
  readonly #options: ListenerOptions
  readonly #running: Promise<void>
  #isClosed = false
  #wake: () => void = () => {}

  /** Starts to listen; connects in the background for as long as it takes. Raises `invalid_input` for another name. */
  constructor(database: PostgresDatabase, options: ListenerOptions) {
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(options.channel)) {
      const reason = `not a name of lower-case letters, digits and underscores: ${textOf(options.channel)}`
      throw new InvalidInputError({ subject: 'channel', field: '$', reason })
    }
    this.#database = database
    this.#options = options
    this.#running = silence(this.#run())
  }

  /** Ends the connection. Nothing is told any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#wake()
    await this.#running
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #run(): Promise<void> {
    const logger = guardedLogger(this.#options.logger)
    for (let failures = 0; !this.#isClosed; ) {
      try {
        await this.#listen(() => {
          failures = 0
        })
      } catch (cause) {
        if (StatewardError.is(cause, 'store.closed')) return
        if (failures === 0) logger.warn({ ...faultFields(cause) }, 'lost the connection that listens to the store')
      }
      failures += 1
      if (!this.#isClosed) await this.#pause(pauseAfter(failures, () => 1))
    }
  }

  /** Listens over one connection until it ends. */
  async #listen(onConnect: () => void): Promise<void> {
    const { channel, onMessage, logger } = this.#options
    const client = await this.#database.connect()
    const guard = createObserverGuard(guardedLogger(logger), 'a listener of the store threw')
    const ended = new Promise<void>((resolve) => {
      this.#wake = resolve
      client.on('end', resolve)
      client.on('error', () => resolve())
    })
    const hear = ({ channel: from, payload = '' }: PgNotification): void => {
      if (from === channel && !this.#isClosed) guard(() => onMessage(payload))
    }
    client.on('notification', hear)
    try {
      if (this.#isClosed) return
      await client.query({ text: `LISTEN ${channel}` })
      onConnect()
      guard(() => this.#options.onConnect())
      await ended
    } finally {
      client.removeListener('notification', hear)
      // It listens for as long as it lives, so nobody else may have it.
      client.release(true)
    }
  }

  async #pause(ms: number): Promise<void> {
    const { clock } = this.#database
    await new Promise<void>((resolve) => {
      const timer = clock.setTimeout(resolve, ms)
      this.#wake = () => {
        clock.clearTimeout(timer)
        resolve()
      }
    })
  }
}
