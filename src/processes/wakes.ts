import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { silence } from '../base/promises.js'
import type { WakeDelivery } from './event.js'
import type { ProcessStore, WakePosition } from './store.js'

/**
 * Handles a wake for a session, at least once. The wake is acknowledged when the handler resolves, unless it resolves
 * with `false`: then there is nothing to wake yet, and the wake is kept.
 */
export type WakeHandler = (delivery: WakeDelivery) => unknown

/** Options of {@link Wakes}. */
export interface WakesOptions {
  readonly store: ProcessStore
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Handles the wakes of sessions without a handler. */
  readonly fallback: WakeHandler | undefined
}

/** Milliseconds before a wake that could not be delivered is offered again. */
const retryMs = 5000
/** How many wakes are read at a time, and may be in delivery to one session. */
const mostAtOnce = 100

/** The wakes in delivery to one session. */
interface Line {
  readonly keys: Set<string>
  last: Promise<void>
  /** There were more wakes than it can hold. */
  isOverfull: boolean
  /** Some wakes were not taken, so it makes no sense to look for more right away. */
  isStuck: boolean
}

/**
 * Delivers wakes to sessions, including those left from earlier: at least once, in the store's order within a session,
 * and without one session waiting for the handler of another (P-204).
 */
export class Wakes implements Disposable {
  readonly #options: WakesOptions
  readonly #handlers = new Map<string, WakeHandler>()
  readonly #lines = new Map<string, Line>()
  #looking: Promise<void> | undefined
  #isDue = false
  #retry: Deadline | undefined
  #isClosed = false

  constructor(options: WakesOptions) {
    this.#options = options
  }

  /** Sets the handler for a session's wakes, replacing an earlier one. Pending wakes are delivered first. */
  handle(sessionId: string, handler: WakeHandler): Disposable {
    this.#handlers.set(sessionId, handler)
    this.look()
    return {
      [Symbol.dispose]: () => {
        if (this.#handlers.get(sessionId) === handler) this.#handlers.delete(sessionId)
      },
    }
  }

  /** Looks for pending wakes. Calls during a look are combined into one more look. */
  look(): void {
    if (this.#isClosed) return
    this.#isDue = true
    this.#looking ??= silence(this.#lookWhileDue())
  }

  /** Stops delivering. Resolves when no handler is running. */
  async close(): Promise<void> {
    this[Symbol.dispose]()
    await this.#looking
    await Promise.all(Array.from(this.#lines.values(), ({ last }) => last))
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    this.#retry?.[Symbol.dispose]()
  }

  async #lookWhileDue(): Promise<void> {
    try {
      while (this.#isDue && !this.#isClosed) {
        this.#isDue = false
        await this.#lookOnce()
      }
    } catch (failure) {
      this.#options.logger.warn({ cause: messageOf(failure) }, 'pending wakes could not be read, retrying')
      this.#lookLater()
    } finally {
      this.#looking = undefined
    }
  }

  async #lookOnce(): Promise<void> {
    let after: WakePosition | undefined
    for (;;) {
      const wakes = await this.#options.store.pendingWakes(mostAtOnce, after)
      for (const { delivery } of wakes) this.#deliver(delivery)
      const last = wakes.at(-1)
      if (last === undefined || wakes.length < mostAtOnce || this.#isClosed) return
      after = { processId: last.event.processId, sequence: last.event.sequence }
    }
  }

  #deliver(delivery: WakeDelivery): void {
    const { processId, sequence, targetSessionId: sessionId } = delivery
    const handler = this.#handlers.get(sessionId) ?? this.#options.fallback
    if (handler === undefined) return
    const line = this.#lines.get(sessionId) ?? newLine()
    const key = `${processId} ${sequence}`
    if (line.keys.has(key)) return
    if (line.keys.size === mostAtOnce) {
      line.isOverfull = true
      return
    }
    line.keys.add(key)
    this.#lines.set(sessionId, line)
    line.last = this.#offerNext(line, key, delivery, handler)
  }

  async #offerNext(line: Line, key: string, delivery: WakeDelivery, handler: WakeHandler): Promise<void> {
    await line.last
    if (!(await this.#offer(delivery, handler))) line.isStuck = true
    line.keys.delete(key)
    if (line.keys.size > 0) return
    this.#lines.delete(delivery.targetSessionId)
    if (line.isOverfull && !line.isStuck) this.look()
  }

  /** Whether the wake was taken. Never rejects. */
  async #offer(delivery: WakeDelivery, handler: WakeHandler): Promise<boolean> {
    const { processId, sequence, targetSessionId } = delivery
    if (this.#isClosed) return false
    try {
      if ((await handler(delivery)) === false) return false
      await this.#options.store.ackWake(processId, sequence)
      return true
    } catch (failure) {
      const fields = { processId, sequence, sessionId: targetSessionId, cause: messageOf(failure) }
      this.#options.logger.warn(fields, 'a session could not be woken, trying again')
      this.#lookLater()
      return false
    }
  }

  #lookLater(): void {
    if (this.#isClosed || this.#retry !== undefined) return
    this.#retry = this.#options.deadlines.after(retryMs, () => {
      this.#retry = undefined
      this.look()
    })
  }
}

function newLine(): Line {
  return { keys: new Set(), last: Promise.resolve(), isOverfull: false, isStuck: false }
}
