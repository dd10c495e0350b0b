import { faultFields } from '../base/error-details.js'
import { BoundedQueue } from '../base/bounded-queue.js'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { createDeferred, silence, type Deferred } from '../base/promises.js'
import type { ProcessEvent } from './event.js'
import type { ProcessId } from './scalars.js'

/** A fault of a worker that nobody awaits. */
export interface WorkerFault {
  readonly type: 'row_backend_error' | 'row_run_failed' | 'incomplete_scan'
  /** Absent for a fault of a whole scan. */
  readonly processId?: ProcessId
  /** What was being done. */
  readonly operation: string
  readonly message: string
}

/**
 * Is told of appended events, in time and without promise: the log alone is complete. It is awaited on the way of the
 * append, so it returns fast and leaves slow work to a queue, {@link BoundedQueueSink} for instance.
 */
export interface ProcessEventSink {
  emit(event: ProcessEvent): void | Promise<void>
  /** A fault of a worker. Without it such faults are logged. */
  emitWorkerFault?(fault: WorkerFault): void | Promise<void>
}

/** What a sink was given and what became of it. */
export interface SinkCounts {
  readonly emitted: number
  /** Emits that threw or rejected. */
  readonly failed: number
  /** Events that were left out while the sink was stalled for their process. */
  readonly dropped: number
}

/** How long an append waits for its sink, in milliseconds. */
export const defaultSinkTimeoutMs = 1000

/** What a {@link SinkFeeder} is built on. */
export interface SinkFeederOptions {
  readonly sink: ProcessEventSink
  readonly clock: Clock
  readonly logger: Logger
  readonly timeoutMs: number
}

/**
 * Hands events to a sink that cannot harm who appends: what it throws is counted and logged, and one that takes too long is
 * left alone for that process, its events dropped and counted, until it has answered (P-146).
 */
export class SinkFeeder {
  readonly #options: SinkFeederOptions
  /** Processes for which an emit takes too long. */
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

  /** Resolves when the sink has taken the event or the time for it is over; never rejects. */
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
    logger.warn({ processId, timeoutMs }, 'the event sink is stalled: events of the process are left out')
    void settled.then(() => this.#stalled.delete(processId))
  }

  #fail(error: unknown, { processId, sequence, eventType }: ProcessEvent): void {
    this.#failed += 1
    const { logger } = this.#options
    logger.error({ processId, sequence, eventType, ...faultFields(error) }, 'the event sink failed')
  }
}

/** How a {@link BoundedQueueSink} hands events on. */
export interface BoundedQueueSinkOptions {
  /** Events that it holds at most; the oldest go first. Default 1000. */
  readonly capacity?: number
  /** Is told of an event that was handed on and failed. */
  readonly onError?: (error: unknown, event: ProcessEvent) => void
}

/**
 * A sink that takes every event at once and hands them on one after another, at the pace of who takes them; what does not
 * fit is dropped, oldest first, and counted.
 *
 *     const sink = new BoundedQueueSink((event) => socket.send(JSON.stringify(event)))
 */
export class BoundedQueueSink implements ProcessEventSink {
  readonly #deliver: (event: ProcessEvent) => void | Promise<void>
  readonly #queue: BoundedQueue<ProcessEvent>
  readonly #onError: BoundedQueueSinkOptions['onError']
  #delivering: Promise<void> | undefined
  #idle: Deferred<void> | undefined
  #dropped = 0

  constructor(deliver: (event: ProcessEvent) => void | Promise<void>, options: BoundedQueueSinkOptions = {}) {
    this.#deliver = deliver
    this.#queue = new BoundedQueue(options.capacity ?? 1000)
    this.#onError = options.onError
  }

  /** Events that were dropped to make room. */
  get dropped(): number {
    return this.#dropped
  }

  /** Events that wait to be handed on. */
  get size(): number {
    return this.#queue.size
  }

  emit(event: ProcessEvent): void {
    if (!this.#queue.push(event)) this.#dropped += 1
    this.#delivering ??= silence(this.#run())
  }

  /** Resolves once everything that was emitted so far is handed on or dropped. */
  flush(): Promise<void> {
    if (this.#delivering === undefined) return Promise.resolve()
    this.#idle ??= createDeferred<void>()
    return this.#idle.promise
  }

  async #run(): Promise<void> {
    // The append that emits does not wait for what is done with the event.
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
      // It is told of faults; one of its own has nobody else to go to, and the next event is due.
    }
  }
}

function isThenable(value: unknown): value is Promise<void> {
  return typeof value === 'object' && value !== null && 'then' in value
}
