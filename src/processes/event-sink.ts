import * as v from 'valibot'
import { faultFields } from '../base/error-details.js'
import { BoundedQueue } from '../base/bounded-queue.js'
import type { Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import type { Logger } from '../base/logger.js'
import { functionSchema, optionsSchema, portSchema, wholeNumberSchema } from '../base/options.js'
import { createDeferred, silence, type Deferred } from '../base/promises.js'
import type { ProcessEvent } from './event.js'
import type { ProcessId } from './scalars.js'

/** A fault in a worker's background activity, where no caller would see it. */
export interface WorkerFault {
  readonly type: 'row_backend_error' | 'row_run_failed' | 'incomplete_scan'
  /** Absent if the fault concerns a whole scan. */
  readonly processId?: ProcessId
  /** What the worker was doing. */
  readonly operation: string
  readonly message: string
}

/**
 * Receives appended events promptly but without a guarantee; only the log is complete. The append waits for `emit`, so
 * it must return quickly and leave slow work to a queue such as {@link BoundedQueueSink}.
 */
export interface ProcessEventSink {
  emit(event: ProcessEvent): void | Promise<void>
  /** Receives faults of the worker. Without it, they are logged. */
  emitWorkerFault?(fault: WorkerFault): void | Promise<void>
}

/** Accepts a {@link ProcessEventSink}. */
export const sinkSchema = portSchema<ProcessEventSink>(['emit'], ['emitWorkerFault'])

/** Counts of what a sink received. */
export interface SinkCounts {
  readonly emitted: number
  /** Calls of `emit` that threw or rejected. */
  readonly failed: number
  /** Events dropped while the sink was stalled for their process. */
  readonly dropped: number
}

/** How long an append waits for its sink, in milliseconds. */
export const defaultSinkTimeoutMs = 1000

/** Options of a {@link SinkFeeder}. */
export interface SinkFeederOptions {
  readonly sink: ProcessEventSink
  readonly clock: Clock
  readonly logger: Logger
  readonly timeoutMs: number
}

/**
 * Passes events to a sink without letting it harm the append. Errors are counted and logged. If the sink takes too long
 * for a process, further events of that process are dropped and counted until it has answered (P-146).
 */
export class SinkFeeder {
  readonly #options: SinkFeederOptions
  /** Processes with an `emit` that is taking too long. */
  readonly #stalled = new Set<ProcessId>()
  #emitted = 0
  #failed = 0
  #dropped = 0

  constructor(options: SinkFeederOptions) {
    this.#options = options
  }

  get counts(): SinkCounts {
    return { emitted: this.#emitted, failed: this.#failed, dropped: this.#dropped }
  }

  /** Resolves when the sink has taken the event or the timeout has passed. Never rejects. */
  async feed(event: ProcessEvent): Promise<void> {
    const { processId } = event
    if (this.#stalled.has(processId)) {
      this.#dropped += 1
      return
    }
    this.#emitted += 1
    const { sink, clock, timeoutMs, logger } = this.#options
    let emitting: void | Promise<void>
    try {
      emitting = sink.emit(event)
    } catch (error) {
      return this.#fail(error, event)
    }
    if (!isThenable(emitting)) return
    const settled = Promise.resolve(emitting).then(
      () => 'settled' as const,
      (error: unknown) => {
        this.#fail(error, event)
        return 'settled' as const
      },
    )
    const late = createDeferred<'late'>()
    const timer = clock.setTimeout(() => late.resolve('late'), timeoutMs)
    if ((await Promise.race([settled, late.promise])) === 'settled') return clock.clearTimeout(timer)
    this.#stalled.add(processId)
    logger.warn({ processId, timeoutMs }, 'the event sink is stalled, so events of the process are dropped')
    void settled.then(() => this.#stalled.delete(processId))
  }

  #fail(error: unknown, { processId, sequence, eventType }: ProcessEvent): void {
    this.#failed += 1
    const { logger } = this.#options
    logger.error({ processId, sequence, eventType, ...faultFields(error) }, 'the event sink failed')
  }
}

/** Options of a {@link BoundedQueueSink}. */
export interface BoundedQueueSinkOptions {
  /** The most events it holds. When full, it drops the oldest. Default 1,000. */
  readonly capacity?: number
  /** Called with the error if delivering an event failed. */
  readonly onError?: (error: unknown, event: ProcessEvent) => void
}

type Deliver = (event: ProcessEvent) => void | Promise<void>

const deliverSchema = functionSchema<Deliver>()
const queueOptionsSchema = optionsSchema<BoundedQueueSinkOptions>({
  capacity: v.optional(wholeNumberSchema(1)),
  onError: v.optional(functionSchema<NonNullable<BoundedQueueSinkOptions['onError']>>()),
})

/**
 * A sink that accepts every event immediately and delivers them one by one, at the consumer's pace. When the queue is
 * full, the oldest event is dropped and counted.
 *
 *     const sink = new BoundedQueueSink((event) => socket.send(JSON.stringify(event)))
 */
export class BoundedQueueSink implements ProcessEventSink {
  readonly #deliver: Deliver
  readonly #queue: BoundedQueue<ProcessEvent>
  readonly #onError: BoundedQueueSinkOptions['onError']
  #delivering: Promise<void> | undefined
  #idle: Deferred<void> | undefined
  #dropped = 0

  /** Raises `invalid_input`. */
  constructor(deliver: (event: ProcessEvent) => void | Promise<void>, options: BoundedQueueSinkOptions = {}) {
    const { capacity = 1000, onError } = decode(queueOptionsSchema, options, 'options of a queue for events')
    this.#deliver = decode(deliverSchema, deliver, 'delivery of events')
    this.#queue = new BoundedQueue(capacity)
    this.#onError = onError
  }

  /** The number of events dropped because the queue was full. */
  get dropped(): number {
    return this.#dropped
  }

  /** The number of queued events. */
  get size(): number {
    return this.#queue.size
  }

  emit(event: ProcessEvent): void {
    if (!this.#queue.push(event)) this.#dropped += 1
    this.#delivering ??= silence(this.#run())
  }

  /** Resolves once every event emitted so far is delivered or dropped. */
  flush(): Promise<void> {
    if (this.#delivering === undefined) return Promise.resolve()
    this.#idle ??= createDeferred<void>()
    return this.#idle.promise
  }

  async #run(): Promise<void> {
    // The append must not wait for the delivery.
    await Promise.resolve()
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) {
      try {
        await this.#deliver(event)
      } catch (error) {
        this.#report(error, event)
      }
    }
    this.#delivering = undefined
    this.#idle?.resolve()
    this.#idle = undefined
  }

  #report(error: unknown, event: ProcessEvent): void {
    try {
      this.#onError?.(error, event)
    } catch {
      // `onError` itself reports faults, so a fault in it has nowhere to go, and the next event is due.
    }
  }
}

function isThenable(value: unknown): value is Promise<void> {
  return typeof value === 'object' && value !== null && 'then' in value
}
