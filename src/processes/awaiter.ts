import * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { DeadlineQueue } from '../base/deadline-queue.js'
import { durationSchema, optionsSchema, portSchema, signalSchema, wholeNumberSchema } from '../base/options.js'
import { clockSchema } from '../base/ports.js'
import { ProcessError } from './errors.js'
import type { ProcessEvent } from './event.js'
import type { ProcessHub } from './hub.js'
import type { AwaitOutput, NoLongerRetained } from './output.js'
import { takeId, takeName, takeSequence, type ProcessId } from './scalars.js'
import { longestPollMs, SharedWait, type WaitBounds } from './shared-wait.js'
import type { ProcessStore } from './store.js'

/** The store methods that an {@link Awaiter} reads from. */
export type AwaitedStore = Pick<ProcessStore, 'getTerminal' | 'firstEventAfter' | 'eventsAfter' | 'writers'>

/** Options of an {@link Awaiter}. */
export interface AwaiterOptions {
  readonly store: AwaitedStore
  /** Notifies of changes. Without it, every wait polls. */
  readonly hub?: ProcessHub
  readonly clock: Clock
  /**
   * The longest pause between two reads, in milliseconds. Default 1,000. The longer it is, the later the writes of
   * other hosts are noticed.
   */
  readonly longestPollMs?: number
}

const awaiterSchema = optionsSchema<AwaiterOptions>({
  store: portSchema<AwaitedStore>(['getTerminal', 'firstEventAfter', 'eventsAfter']),
  hub: v.optional(portSchema<ProcessHub>(['subscribe'])),
  clock: clockSchema,
  longestPollMs: v.optional(wholeNumberSchema(1)),
})

/** Options of a wait for an event. */
export interface EventWaitBounds extends WaitBounds {
  /** If true, the wait rejects with `process.already_terminal` once the process has ended without such an event. */
  readonly stopOnTerminal?: boolean
}

const boundsFields = {
  signal: v.optional(signalSchema),
  timeoutMs: v.optional(durationSchema),
  unref: v.optional(v.boolean()),
}
const boundsSchema = optionsSchema<WaitBounds>(boundsFields)
const eventBoundsSchema = optionsSchema<EventWaitBounds>({ ...boundsFields, stopOnTerminal: v.optional(v.boolean()) })

/**
 * Waits for changes of processes. It needs only their store, which it reads narrowly, and is woken by the hub if there
 * is one.
 *
 * Waits for the same thing share one read and one timer. If the hub hears of every change (`writers: 'this_hub'`),
 * there is no polling. Otherwise others may write without notice, so the wait reads again after 25, 50, … up to 1,000
 * milliseconds. Every wait takes a signal and a timeout. They end only the wait: the process goes on.
 *
 *     const output = await awaiter.awaitTerminal('order-42', { timeoutMs: 60_000 })
 */
export class Awaiter implements Disposable {
  readonly #options: AwaiterOptions
  readonly #deadlines: DeadlineQueue
  readonly #terminal = new Map<string, SharedWait<AwaitOutput | NoLongerRetained>>()
  readonly #events = new Map<string, SharedWait<ProcessEvent>>()
  readonly #logs = new Map<string, SharedWait<readonly ProcessEvent[]>>()
  #isClosed = false

  /** Raises `invalid_input`. */
  constructor(options: AwaiterOptions) {
    this.#options = decode(awaiterSchema, options, 'options of an awaiter')
    this.#deadlines = new DeadlineQueue(options.clock)
  }

  /**
   * Resolves with the output of the process, immediately if it has already ended, or with `no_longer_retained` if it
   * was pruned. Rejects with `process.unknown` (also if the process disappears during the wait),
   * `process.await_timeout`, `process.await_closed`, the signal's reason, or the error of the store.
   */
  async awaitTerminal(processId: ProcessId, bounds: WaitBounds = {}): Promise<AwaitOutput | NoLongerRetained> {
    const id = takeId(processId)
    const taken = decode(boundsSchema, bounds, 'bounds of a wait')
    return this.#wait(this.#terminal, id, id, () => this.#readTerminal(id), taken)
  }

  /**
   * Resolves with the first event of the type after the cursor, immediately if it is already there. Rejects like
   * {@link Awaiter.awaitTerminal}. The end of the process ends the wait only if `stopOnTerminal` is set.
   */
  async awaitEvent(
    processId: ProcessId,
    eventType: string,
    afterSequence: number,
    bounds: EventWaitBounds = {},
  ): Promise<ProcessEvent> {
    const id = takeId(processId)
    const type = takeName(eventType, 'event type')
    const cursor = takeSequence(afterSequence, 'cursor')
    const { stopOnTerminal = false, ...taken } = decode(eventBoundsSchema, bounds, 'bounds of a wait')
    // Ids and types may contain spaces, but no line breaks.
    const key = [id, type, cursor, stopOnTerminal].join('\n')
    const read = (): Promise<ProcessEvent | undefined> => this.#readEvent(id, type, cursor, stopOnTerminal)
    return this.#wait(this.#events, key, id, read, taken)
  }

  /**
   * Resolves with all events after the cursor as soon as there is one, or with an empty list if there is none and the
   * process has ended. Rejects like {@link Awaiter.awaitTerminal}.
   */
  async awaitMore(
    processId: ProcessId,
    afterSequence: number,
    bounds: WaitBounds = {},
  ): Promise<readonly ProcessEvent[]> {
    const id = takeId(processId)
    const cursor = takeSequence(afterSequence, 'cursor')
    const taken = decode(boundsSchema, bounds, 'bounds of a wait')
    return this.#wait(this.#logs, [id, cursor].join('\n'), id, () => this.#readMore(id, cursor), taken)
  }

  /** The number of distinct things being waited for. */
  get size(): number {
    return this.#terminal.size + this.#events.size + this.#logs.size
  }

  /** Ends every wait with `process.await_closed`. */
  [Symbol.dispose](): void {
    this.#isClosed = true
    for (const waits of [this.#terminal, this.#events, this.#logs]) {
      for (const [key, wait] of waits) wait.close(closed(key))
    }
    this.#deadlines[Symbol.dispose]()
  }

  #wait<Answer>(
    waits: Map<string, SharedWait<Answer>>,
    key: string,
    processId: ProcessId,
    read: () => Promise<Answer | undefined>,
    bounds: WaitBounds,
  ): Promise<Answer> {
    if (this.#isClosed) throw closed(key)
    bounds.signal?.throwIfAborted()
    let shared = waits.get(key)
    if (shared === undefined) {
      const { store, hub, clock } = this.#options
      shared = new SharedWait<Answer>({
        read,
        subscription: hub?.subscribe(processId),
        isComplete: hub !== undefined && store.writers === 'this_hub',
        clock,
        deadlines: this.#deadlines,
        longestPollMs: this.#options.longestPollMs ?? longestPollMs,
        timeoutError: (timeoutMs) => new ProcessError('process.await_timeout', { processId, timeoutMs }),
        onEmpty: () => waits.delete(key),
      })
      waits.set(key, shared)
    }
    return shared.join(bounds)
  }

  async #readTerminal(processId: ProcessId): Promise<AwaitOutput | NoLongerRetained | undefined> {
    const terminal = await this.#options.store.getTerminal(processId)
    switch (terminal.state) {
      case 'running':
        return undefined
      case 'ended':
        return terminal.output
      case 'pruned': {
        const { terminalLabel, prunedAtMs } = terminal
        return { type: 'no_longer_retained', terminalLabel, prunedAtMs }
      }
      case 'unknown':
        throw new ProcessError('process.unknown', { processId })
    }
  }

  async #readMore(processId: ProcessId, cursor: number): Promise<readonly ProcessEvent[] | undefined> {
    const { store } = this.#options
    // Read before the events, so that every event before the end is certain to be found.
    const terminal = await store.getTerminal(processId)
    const events = await store.eventsAfter(processId, cursor)
    return events.length > 0 || terminal.state === 'ended' ? events : undefined
  }

  async #readEvent(
    processId: ProcessId,
    eventType: string,
    cursor: number,
    stopOnTerminal: boolean,
  ): Promise<ProcessEvent | undefined> {
    const { store } = this.#options
    // Read before the event, so that an event before the end is certain to be found.
    const terminal = stopOnTerminal ? await store.getTerminal(processId) : undefined
    const event = await store.firstEventAfter(processId, eventType, cursor)
    if (event === undefined && terminal?.state === 'ended') {
      throw new ProcessError('process.already_terminal', { processId, status: terminal.status })
    }
    return event
  }
}

function closed(key: string): ProcessError<'process.await_closed'> {
  return new ProcessError('process.await_closed', { wait: key.replaceAll('\n', ' ') })
}
