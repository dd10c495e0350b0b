import { onAbort } from '../base/abort.js'
import { faultFields } from '../base/error-details.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import { guardedLogger, createObserverGuard } from '../base/observers.js'
import type { Logger } from '../base/logger.js'
import { textOf } from '../base/options.js'
import { silence } from '../base/promises.js'
import type { PgNotification } from './client.js'
import type { PostgresDatabase } from './database.js'
import { pauseAfter } from './retry.js'

/** Options of a {@link PostgresListener}. */
export interface ListenerOptions {
  /** The channel to listen to, a lower-case name. Payloads sent to it with `pg_notify` arrive here. */
  readonly channel: string
  /** Called with the payload of a notification. */
  readonly onMessage: (payload: string) => void
  /**
   * Called when the connection has been made, the first time or again. Notifications sent before are lost, so read
   * everything.
   */
  readonly onConnect: () => void
  readonly logger?: Logger
}

/**
 * Listens to a channel over its own connection, which is made again when it breaks. Notifications are only hints:
 * those sent while there is no connection are lost.
 */
export class PostgresListener implements AsyncDisposable {
  readonly #database: PostgresDatabase
  readonly #options: ListenerOptions
  readonly #running: Promise<void>
  #isClosed = false
  #wake: () => void = () => {}

  /**
   * Starts to listen. Connects in the background for as long as it takes. Throws `invalid_input` for an invalid
   * channel name.
   */
  constructor(database: PostgresDatabase, options: ListenerOptions) {
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(options.channel)) {
      const reason = `not a name of lower-case letters, digits and underscores: ${textOf(options.channel)}`
      throw new InvalidInputError({ subject: 'channel', field: '$', reason })
    }
    this.#database = database
    this.#options = options
    this.#running = silence(this.#run())
  }

  /** Closes the connection. No callback is called afterwards. */
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
        if (failures === 0) logger.warn({ ...faultFields(cause) }, 'the connection that listens to PostgreSQL was lost')
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
    const forget = onAbort(this.#database.closing, this.#wake)
    try {
      if (this.#isClosed) return
      await client.query({ text: `LISTEN ${channel}` })
      onConnect()
      guard(() => this.#options.onConnect())
      await ended
    } finally {
      forget()
      client.removeListener('notification', hear)
      // The connection has subscriptions, so it must not be reused by the pool.
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
