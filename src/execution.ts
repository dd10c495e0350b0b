import type { Span } from '@opentelemetry/api'
import type { Clock } from './base/clock.js'
import type { Deadline, DeadlineQueue } from './base/deadline-queue.js'
import { messageOf, StatewardError } from './base/errors.js'
import type { Logger } from './base/logger.js'
import { createDeferred } from './base/promises.js'
import type { OperationRegistry } from './operations/index.js'
import { endOperationSpan } from './tracing.js'
import type { OperationId, OperationOutcome } from '../machines/operation-vocabulary.js'

/** What a task is given. */
export interface TaskContext {
  readonly id: OperationId
  /** Aborts once the operation has ended without its task: cancelled, terminated, past its deadline. */
  readonly signal: AbortSignal
  /** Aborts when the operation is asked to wind down; the task may still finish in its own way. */
  readonly retiring: AbortSignal
  /** Reports progress; `percent` is a fraction from 0 to 1. */
  readonly progress: (message: string, percent?: number) => void
  /** Adds to the tokens that the result will account for. */
  readonly useTokens: (count: number) => void
}

/** The work of an operation. A string result becomes the content as it is, anything else as JSON. */
export type Task = (context: TaskContext) => unknown

/** Raised with code `operation_ended` as the reason of an aborted task signal. */
export class OperationEndedError extends StatewardError<
  'operation_ended',
  { readonly id: OperationId; readonly outcome: OperationOutcome }
> {
  override readonly name = 'OperationEndedError'

  constructor(id: OperationId, outcome: OperationOutcome) {
    super('operation_ended', `operation ${id} ended as ${outcome.type}`, { id, outcome })
  }
}

/** What an execution needs from its session. */
export interface ExecutionOptions {
  readonly id: OperationId
  readonly operations: OperationRegistry
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  readonly span?: Span
}

const firstRetryDelay = 100
const longestRetryDelay = 5000

/**
 * One task behind one operation. The task's result ends the operation once; when the journal cannot
 * take the end, it is offered again until it can, so that no completion is lost to a full disk.
 */
export class Execution {
  readonly #options: ExecutionOptions
  readonly #ended = createDeferred<OperationOutcome>()
  readonly #abort = new AbortController()
  readonly #retire = new AbortController()
  #deadline: Deadline | undefined
  #retry: Deadline | undefined
  #isTaskRunning = false
  #tokensUsed = 0

  constructor(options: ExecutionOptions) {
    this.#options = options
  }

  /** The outcome, once it is durable; rejects when the operation was never accepted or the registry went away. */
  get outcome(): Promise<OperationOutcome> {
    return this.#ended.promise
  }

  /** Starts the task of a registered operation. */
  async run(task: Task, deadlineMs: number | undefined): Promise<void> {
    const { id, operations, clock, deadlines } = this.#options
    try {
      await operations.provisioningSucceeded(id)
    } catch {
      // It was ended before it could start; whoever ended it has settled the outcome.
      return
    }
    if (deadlineMs !== undefined) {
      this.#deadline = deadlines.after(deadlineMs, () => this.#offer(`deadline of ${deadlineMs} ms exceeded`))
    }
    const startedAt = clock.monotonicNow()
    this.#isTaskRunning = true
    let end: OperationOutcome
    try {
      const content = contentOf(await task(this.#context()))
      const durationMs = Math.max(0, Math.trunc(clock.monotonicNow() - startedAt))
      end = { type: 'completed', result: { id, content, isError: false, durationMs, tokensUsed: this.#tokensUsed } }
    } catch (thrown) {
      end = { type: 'failed', error: messageOf(thrown) }
    }
    this.#isTaskRunning = false
    this.#offer(end)
  }

  /** The operation is asked to wind down. */
  windDown(): void {
    this.#retire.abort()
  }

  /** The operation has ended, by its task or without it. */
  end(outcome: OperationOutcome): void {
    this.#release()
    this.#ended.resolve(outcome)
    if (this.#options.span !== undefined) endOperationSpan(this.#options.span, outcome)
    if (this.#isTaskRunning) this.#abort.abort(new OperationEndedError(this.#options.id, outcome))
  }

  /** The operation will have no outcome here. */
  abandon(reason: unknown): void {
    this.#release()
    this.#ended.reject(reason)
    this.#options.span?.end()
    this.#abort.abort(reason)
  }

  #context(): TaskContext {
    const { id, operations } = this.#options
    return {
      id,
      signal: this.#abort.signal,
      retiring: this.#retire.signal,
      progress: (message, percent) => {
        // A report that comes after the end is refused, which is all that has to happen.
        operations.reportProgress(id, { message, ...(percent !== undefined && { percent }) }).catch(() => {})
      },
      useTokens: (count) => {
        this.#tokensUsed += count
      },
    }
  }

  #offer(end: OperationOutcome | string, delay = firstRetryDelay): void {
    const { id, operations, deadlines, logger } = this.#options
    const outcome: OperationOutcome = typeof end === 'string' ? { type: 'failed', error: end } : end
    const offered =
      outcome.type === 'completed'
        ? operations.completeOperation(id, outcome.result)
        : operations.failOperation(id, outcome.type === 'failed' ? outcome.error : outcome.type)
    offered.catch((cause: unknown) => {
      if (isTooLarge(cause)) return this.#offer(`the result does not fit the journal: ${messageOf(cause)}`)
      if (!isLaneFailure(cause)) return
      logger.warn({ id, cause: messageOf(cause) }, 'the end of an operation is not durable yet, trying again')
      this.#retry = deadlines.after(delay, () => this.#offer(outcome, Math.min(2 * delay, longestRetryDelay)))
    })
  }

  #release(): void {
    this.#deadline?.[Symbol.dispose]()
    this.#retry?.[Symbol.dispose]()
  }
}

/** Only failures of the lane are worth another try; a refusal means that the operation has ended otherwise. */
function isLaneFailure(cause: unknown): boolean {
  return (
    StatewardError.is(cause, 'lane_not_appended') ||
    StatewardError.is(cause, 'lane_durability_unknown') ||
    StatewardError.is(cause, 'lane_poisoned')
  )
}

function isTooLarge(cause: unknown): boolean {
  return StatewardError.is(cause) && StatewardError.is(cause.cause, 'journal_record_too_large')
}

function contentOf(value: unknown): string {
  if (typeof value === 'string') return value
  return value === undefined ? '' : JSON.stringify(value)
}
