import type { Clock } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { describeValue, InvalidInputError, messageOf, StatewardError } from '../base/errors.js'
import { toJsonText } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import type { LoopShare } from '../base/loop-share.js'
import { createDeferred } from '../base/promises.js'
import { isLaneFailure, isTooLargeForJournal } from '../lane/errors.js'
import type { OperationRegistry } from './registry.js'
import type { OperationSpan } from '../work/tracing.js'
import type { OperationId, OperationOutcome } from '../../machines/operation-vocabulary.js'

/** What a task is given. */
export interface TaskContext {
  readonly id: OperationId
  /** Aborts once the operation has ended without its task: cancelled, terminated, past its deadline. */
  readonly signal: AbortSignal
  /** Aborts when the operation is asked to wind down; the task may still finish in its own way. */
  readonly retiring: AbortSignal
  /** Reports progress; `percent` is a fraction from 0 to 1. */
  readonly progress: (message: string, percent?: number) => void
  /** Adds to the tokens that the result will account for. Throws `invalid_input` unless it is a whole number from 0. */
  readonly useTokens: (count: number) => void
}

/**
 * The work of an operation. A string result becomes the content as it is, anything else as JSON; the operation fails when
 * JSON cannot say it, as it does with whatever the task throws.
 */
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
  /** What the session may take of a turn of the event loop. */
  readonly share: LoopShare
  readonly logger: Logger
  readonly span?: OperationSpan
}

const firstRetryDelay = 100
const longestRetryDelay = 5000
/** How often something else is offered in place of a refused end. */
const mostRefusals = 2

/** How the task, or its deadline, ends the operation. */
type End = Extract<OperationOutcome, { type: 'completed' | 'failed' }>

/** How an end has fared so far. */
interface Offer {
  /** Milliseconds before it is offered again, should the journal not take it. */
  readonly delay: number
  readonly refusals: number
}

/**
 * One task behind one operation. The first of its result and its deadline ends the operation; when the
 * journal cannot take the end, it is offered again until it can, so that no completion is lost to a full disk. An end that
 * is refused for what it is becomes a failure that says so.
 */
export class Execution {
  readonly #options: ExecutionOptions
  readonly #ended = createDeferred<OperationOutcome>()
  readonly #abort = new AbortController()
  readonly #retire = new AbortController()
  #deadline: Deadline | undefined
  #retry: Deadline | undefined
  #isTaskRunning = false
  #isOver = false
  #isOffered = false
  #tokensUsed = 0

  constructor(options: ExecutionOptions) {
    this.#options = options
  }

  /** The outcome, once it is durable; rejects when the operation was never accepted or the registry went away. */
  get outcome(): Promise<OperationOutcome> {
    return this.#ended.promise
  }

  /** Starts the task of a registered operation, in a later microtask; in a later turn when there are a great many. */
  async run(task: Task, deadlineMs: number | undefined): Promise<void> {
    const { id, operations, deadlines, share } = this.#options
    try {
      await operations.provisioningSucceeded(id)
    } catch (refusal) {
      return this.#onRefused(refusal)
    }
    if (share.isUsedUp) await new Promise<void>((goOn) => share.nextTurn(goOn))
    if (this.#isOver) return
    if (deadlineMs !== undefined) {
      const error = `deadline of ${deadlineMs} ms exceeded`
      this.#deadline = deadlines.after(deadlineMs, () => this.#offer({ type: 'failed', error }))
    }
    this.#offer(await this.#endOf(task))
  }

  /** The operation is asked to wind down. */
  windDown(): void {
    this.#retire.abort()
  }

  /** The operation has ended, by its task or without it. */
  end(outcome: OperationOutcome): void {
    this.#release()
    this.#ended.resolve(outcome)
    if (this.#isTaskRunning) this.#abort.abort(new OperationEndedError(this.#options.id, outcome))
    this.#options.span?.end(outcome)
  }

  /** The operation will have no outcome here. */
  abandon(reason: unknown): void {
    if (this.#isOver) return
    this.#release()
    this.#ended.reject(reason)
    this.#abort.abort(reason)
    this.#options.span?.abandon(messageOf(reason))
  }

  async #endOf(task: Task): Promise<End> {
    const { id, clock } = this.#options
    const startedAt = clock.monotonicNow()
    this.#isTaskRunning = true
    try {
      const content = contentOf(await task(this.#context()))
      const durationMs = Math.max(0, Math.trunc(clock.monotonicNow() - startedAt)) || 0
      return { type: 'completed', result: { id, content, isError: false, durationMs, tokensUsed: this.#tokensUsed } }
    } catch (thrown) {
      return { type: 'failed', error: messageOf(thrown) }
    } finally {
      this.#isTaskRunning = false
    }
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
        if (!Number.isSafeInteger(count) || count < 0 || !Number.isSafeInteger(this.#tokensUsed + count)) {
          throw new InvalidInputError({
            subject: 'token count',
            field: '$',
            reason: `not a whole number from 0: ${describeValue(count)}`,
          })
        }
        this.#tokensUsed += count
      },
    }
  }

  #offer(end: End): void {
    if (this.#isOffered) return
    this.#isOffered = true
    this.#submit(end, { delay: firstRetryDelay, refusals: 0 })
  }

  /** Offers an end until it is taken, by the journal and by the registry: what refuses it takes its place. */
  #submit(end: End, { delay, refusals }: Offer): void {
    if (this.#isOver) return
    const { id, operations, deadlines, logger } = this.#options
    const submitted =
      end.type === 'completed' ? operations.completeOperation(id, end.result) : operations.failOperation(id, end.error)
    submitted.catch((cause: unknown) => {
      if (this.#isOver) return
      if (isTooLargeForJournal(cause)) {
        const error = `the end does not fit the journal: ${messageOf(cause)}`
        return this.#submitInstead({ type: 'failed', error }, cause, refusals)
      }
      if (isLaneFailure(cause)) {
        logger.warn({ id, cause: messageOf(cause) }, 'the end of an operation is not durable yet, trying again')
        const next = { delay: Math.min(2 * delay, longestRetryDelay), refusals }
        this.#retry = deadlines.after(delay, () => this.#submit(end, next))
        return
      }
      if (this.#isUnheard(cause)) return this.#onRefused(cause)
      logger.error({ id, cause: messageOf(cause) }, 'the end of an operation was refused')
      // A fault of something else, such as a broken barrier, is gone with the refusal: the end itself counts.
      const isOfTheEnd = !StatewardError.is(cause, 'internal') || refusals > 0
      const error = `the end was refused: ${messageOf(cause)}`
      this.#submitInstead(isOfTheEnd ? { type: 'failed', error } : end, cause, refusals)
    })
  }

  #submitInstead(end: End, cause: unknown, refusals: number): void {
    if (refusals < mostRefusals) this.#submit(end, { delay: firstRetryDelay, refusals: refusals + 1 })
    else this.#onRefused(cause)
  }

  /** True when another end would not be taken either: there is one already, or nothing changes here any more. */
  #isUnheard(refusal: unknown): boolean {
    const codes = ['invalid_transition', 'not_found', 'owner_retired', 'lane_closed']
    return codes.some((code) => StatewardError.is(refusal, code)) || this.#options.operations.isPoisoned
  }

  /** Whoever has ended the operation otherwise settles the outcome; after any other refusal nobody would. */
  #onRefused(refusal: unknown): void {
    if (StatewardError.is(refusal, 'invalid_transition') || StatewardError.is(refusal, 'not_found')) return
    this.#options.logger.error({ id: this.#options.id, cause: messageOf(refusal) }, 'an operation was abandoned')
    this.abandon(refusal)
  }

  #release(): void {
    this.#isOver = true
    this.#deadline?.[Symbol.dispose]()
    this.#retry?.[Symbol.dispose]()
  }
}

/** What JSON leaves out, such as `undefined` or a function, is an empty content. Raises `invalid_input` for what it cannot say. */
function contentOf(value: unknown): string {
  return typeof value === 'string' ? value : (toJsonText(value, 'result') ?? '')
}
