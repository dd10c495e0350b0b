import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { silence } from '../base/promises.js'
import type { WakeDelivery } from './event.js'
import type { ProcessStore, WakePosition } from './store.js'

/**
 * Takes a wake for its session, at least once. The wake is acknowledged when it resolves, unless with `false`: then there is
 * nobody to be woken, and the wake is kept.
 */
export type WakeHandler = (delivery: WakeDelivery) => unknown

/** What wakes are delivered with. */
export interface WakesOptions {
  readonly store: ProcessStore
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Takes the wakes of sessions that nobody else takes them for. */
  readonly fallback: WakeHandler | undefined
}

/** Milliseconds before a wake is offered again that could not be delivered. */
const retryMs = 5000
/** How many wakes are read at a time, and are on their way to one session. */
const mostAtOnce = 100

/** The wakes that are on their way to one session. */
interface Line {
  readonly keys: Set<string>
  last: Promise<void>
  /** There were more than it takes. */
  isOverfull: boolean
  /** Some were not taken: nothing is gained by looking at once for more. */
  isStuck: boolean
}

/**
 * Delivers wakes to sessions, those of earlier processes included: at least once, each session's in the order of the
 * store, and no session waits for the handler of another (P-204).
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

  /** Takes the wakes of a session from now on, pending ones first; the last handler counts. */
  handle(sessionId: string, handler: WakeHandler): Disposable {
    this.#handlers.set(sessionId, handler)
    this.look()
    return {
      [Symbol.dispose]: () => {
        if (this.#handlers.get(sessionId) === handler) this.#handlers.delete(sessionId)
      },
    }
  }

  /** Looks for pending wakes; calls that come meanwhile become one more look. */
  look(): void {
    if (this.#isClosed) return
    this.#isDue = true
    this.#looking ??= silence(this.#lookWhileDue())
  }

  /** Offers nothing more; resolves when no handler is at work. */
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
      this.#options.logger.warn({ cause: messageOf(failure) }, 'pending wakes could not be read, trying again')
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

  /** Whether it was taken. Never rejects. */
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
