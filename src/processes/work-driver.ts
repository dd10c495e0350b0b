import { faultFields } from '../base/error-details.js'
import { abortable } from '../base/promises.js'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { createDeferred, silence } from '../base/promises.js'
import type { Awaiter, EventWaitBounds } from './awaiter.js'
import { ProcessError } from './errors.js'
import type { ProcessEvent } from './event.js'
import type { ProcessHub } from './hub.js'
import type { AwaitOutput, NoLongerRetained } from './output.js'
import { takeId, type ProcessId } from './scalars.js'
import type { WaitBounds } from './shared-wait.js'
import type { ProcessStore } from './store.js'
import type { DriveReport } from './drive-report.js'

/** Runs pending work once. */
export interface RunHandle {
  claimAndRunPending(): Promise<DriveReport>
}

/**
 * The durable wait of an engine that executes processes itself. It is called once per wait, for processes that have not
 * ended. Its answer or failure is passed on unchanged.
 */
export interface ProcessAttach {
  awaitTerminal(processId: ProcessId, bounds: { readonly signal?: AbortSignal }): Promise<AwaitOutput>
}

/** Options of a {@link WorkDriver}. */
export interface WorkDriverOptions {
  /** The watched store. */
  readonly store: ProcessStore
  readonly hub: ProcessHub
  readonly awaiter: Awaiter
  readonly runs: RunHandle
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Waits for processes and drives their work, whichever part executes them.
 *
 * If an engine executes them, it does the waiting, otherwise the awaiter. There is no loop here: the processes that
 * have not ended are the queue, and whatever starts a process or opens a session drives it.
 */
export class WorkDriver {
  readonly store: ProcessStore
  readonly hub: ProcessHub
  readonly #options: WorkDriverOptions
  #attach: ProcessAttach | undefined

  constructor(options: WorkDriverOptions) {
    this.store = options.store
    this.hub = options.hub
    this.#options = options
  }

  /** From now on, the engine does the waiting. */
  attach(attach: ProcessAttach): void {
    this.#attach = attach
  }

  /**
   * Resolves with the output of the process. Rejects with `process.unknown`, with the failure of the store or the
   * engine, with `process.await_timeout`, and with the signal's reason, even if the engine ignores the signal.
   */
  async awaitTerminal(processId: ProcessId, bounds: WaitBounds = {}): Promise<AwaitOutput | NoLongerRetained> {
    const attach = this.#attach
    if (attach === undefined) return this.#options.awaiter.awaitTerminal(processId, bounds)
    const id = takeId(processId)
    bounds.signal?.throwIfAborted()
    const terminal = await this.store.getTerminal(id)
    if (terminal.state !== 'running') return this.#options.awaiter.awaitTerminal(id, bounds)
    return this.#attached(attach, id, bounds)
  }

  /** Like {@link Awaiter.awaitEvent}, also if an engine is attached: engines do not wait for events. */
  awaitEvent(
    processId: ProcessId,
    eventType: string,
    afterSequence: number,
    bounds: EventWaitBounds = {},
  ): Promise<ProcessEvent> {
    return this.#options.awaiter.awaitEvent(processId, eventType, afterSequence, bounds)
  }

  /** Runs pending work once. `reason` is for the log. A rejection is logged, too. */
  async claimAndRunPending(reason: string): Promise<DriveReport> {
    try {
      return await this.#options.runs.claimAndRunPending()
    } catch (error) {
      this.#options.logger.warn({ reason, ...faultFields(error) }, 'pending processes could not be executed')
      throw error
    }
  }

  /** Waits with the engine, within the caller's limits even if the engine ignores them. */
  async #attached(attach: ProcessAttach, processId: ProcessId, bounds: WaitBounds): Promise<AwaitOutput> {
    const { signal, timeoutMs } = bounds
    const { clock } = this.#options
    const bound = new AbortController()
    const both = signal === undefined ? bound.signal : AbortSignal.any([signal, bound.signal])
    const late = createDeferred<never>()
    const giveUp = (): void => {
      const error = new ProcessError('process.await_timeout', { processId, timeoutMs: timeoutMs ?? 0 })
      late.reject(error)
      bound.abort(error)
    }
    const timer = timeoutMs === undefined ? undefined : clock.setTimeout(giveUp, timeoutMs)
    try {
      const waiting = silence(attach.awaitTerminal(processId, { signal: both }))
      return await abortable(Promise.race([waiting, late.promise]), signal)
    } finally {
      if (timer !== undefined) clock.clearTimeout(timer)
    }
  }
}
