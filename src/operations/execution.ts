import { errorDetailsOf, faultFields } from '../base/error-details.js'
import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { onAbort } from '../base/abort.js'
import { InvalidInputError, messageOf, StatewardError, toError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import type { LoopShare } from '../base/loop-share.js'
import { checkText, textOf } from '../base/options.js'
import { createDeferred, silence } from '../base/promises.js'
import { isTooLargeForJournal } from '../lane/errors.js'
import type { Lane } from '../lane/lane.js'
import { Job, type JobEnd } from '../work/job.js'
import type { JobList } from '../work/job-list.js'
import { DurableEnd } from '../work/until-durable.js'
import { ReportStream } from '../work/report-stream.js'
import { decodeValue, encodeValue } from '../work/values.js'
import type {
  FailureReason,
  OperationId,
  OperationOutcome,
  OperationSpec,
  OperationStatus,
} from '../../machines/operation-vocabulary.js'
import { checkProgress } from './admission.js'
import { OperationError } from './errors.js'
import type { Candidate, OperationLine } from './line.js'
import type { OperationCancelAnswer, HandleTarget } from './operation-handle.js'
import type { OperationRegistry } from './registry.js'
import type { OperationSpan } from './operation-span.js'
import type { OperationProgress } from './types.js'

/** The argument of the function of an operation. */
export interface WorkContext<Input = unknown> {
  readonly id: OperationId
  /** The `input` that the operation was started with, as a fresh copy on each read; `undefined` if there is none. */
  readonly input: Input
  /** Aborts once the operation has ended without its work: cancelled, terminated, or past its deadline. */
  readonly signal: AbortSignal
  /** Aborts when the operation is asked to wind down; the work may still end in its own way. */
  readonly retiring: AbortSignal
  /** Reports progress. Throws `invalid_input` for a fraction that is not from 0 to 1. */
  readonly progress: (message: string, fraction?: number) => void
  /** Sends output to readers of `handle.progress`. It is not stored. */
  readonly output: (text: string) => void
  /** Adds to the token count of the result. Throws `invalid_input` unless `count` is a whole number from 0. */
  readonly useTokens: (count: number) => void
}

/**
 * The function of an operation. A string that it returns becomes the result as it is, anything else as JSON. The
 * operation fails if the function throws, or if JSON cannot hold what it returned.
 */
export type Work<Result = unknown, Input = unknown> = (context: WorkContext<Input>) => Result | PromiseLike<Result>

/** The reason of an aborted `signal` of the work, with code `operation_ended`. */
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
  readonly spec: OperationSpec
  readonly operations: OperationRegistry
  readonly lane: Pick<Lane, 'refuse'>
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  /** The list of running jobs. */
  readonly jobs: JobList
  /** The session's share of each turn of the event loop. */
  readonly share: LoopShare
  readonly logger: Logger
  /** Milliseconds of work after which the operation fails. */
  readonly deadlineMs: number | undefined
  /** Started when the operation is requested, as a child of the span that was active then. */
  readonly span: OperationSpan | undefined
  /** Cancels the operation when it aborts. */
  readonly signal: AbortSignal | undefined
  /** Operations with the same key share a limit. */
  readonly key: string | undefined
  readonly work: Work
  /** The queue in which it waits until there is room. */
  readonly line: OperationLine
  /** Called once the operation is registered. */
  readonly onBegun: (execution: Execution) => void
}

/** The ends that the work, its deadline or the caller's signal can cause. */
type End = Extract<OperationOutcome, { type: 'completed' | 'failed' | 'cancelled' }>

/**
 * Refusals after which no other end would be accepted: the operation has already ended, or nothing changes here any
 * more.
 */
const finalRefusals = ['invalid_transition', 'not_found', 'owner_retired']

/**
 * The work of one operation: a {@link Job} whose end becomes the end of the operation through a {@link DurableEnd}.
 *
 * The first of its answer and its deadline is offered as the end. The operation ends when the registry accepts this
 * offer or another end (a cancel, a termination). Only then is a job that is still running told to stop, so that the
 * outcome can be read as soon as its signal aborts. Its answer is ignored from then on, and it stays listed until its
 * code has returned. The operation's actor stands for the job, which creates none itself.
 */
export class Execution implements Candidate, HandleTarget {
  readonly #options: ExecutionOptions
  readonly #job: Job<'over'>
  readonly #ended = createDeferred<OperationOutcome>()
  #end: DurableEnd<End> | undefined
  /** The reason with which the job is stopped. */
  #stopReason: unknown
  #isOver = false
  #isRefused = false
  #isCancelledInLine = false
  #settled: OperationOutcome | undefined
  #tokensUsed = 0
  /** The return value of the work as JSON, and the outcome content made from it. */
  #returned: { readonly value: JsonValue | undefined; readonly content: string } | undefined
  #reports: ReportStream | undefined
  #forgetSignal: (() => void) | undefined

  constructor(options: ExecutionOptions) {
    const { spec, clock, deadlines, jobs, deadlineMs, signal } = options
    const { id, kind, displayName, ownerSessionId: owner } = spec
    this.#options = options
    this.#job = new Job({
      id,
      room: 'operations',
      kind,
      displayName,
      owner,
      clock,
      deadlines,
      jobs,
      reasonOf: () => this.#stopReason,
      ...(deadlineMs !== undefined && { timeoutMs: deadlineMs, onTimeout: () => this.#onDeadline(deadlineMs) }),
    })
    if (signal !== undefined) this.#forgetSignal = onAbort(signal, () => this.#onAbort(signal))
  }

  get id(): OperationId {
    return this.#options.spec.id
  }

  get spec(): OperationSpec {
    return this.#options.spec
  }

  get key(): string | undefined {
    return this.#options.key
  }

  get isSettled(): boolean {
    return this.#isOver
  }

  get status(): OperationStatus | 'queued' | undefined {
    const { line, operations } = this.#options
    if (this.#settled !== undefined) return this.#settled.type
    if (this.#isOver || this.#isRefused) return undefined
    return line.get(this.id) === undefined ? operations.snapshot(this.id)?.status : 'queued'
  }

  get reports(): ReportStream {
    if (this.#reports === undefined) {
      this.#reports = new ReportStream()
      if (this.#isOver) this.#reports.close()
    }
    return this.#reports
  }

  valueOf({ result: { content } }: OperationOutcome & { readonly type: 'completed' }): unknown {
    // The host may have completed the operation with other content.
    return this.#returned?.content === content ? decodeValue(this.#returned.value) : content
  }

  async cancel(reason: string | null): Promise<OperationCancelAnswer> {
    const { operations } = this.#options
    const { id } = this
    if (this.#settled !== undefined || this.#isCancelledInLine) return 'already_ended'
    // An execution that never began may share its id with another operation, so do not cancel by id.
    if (this.#isOver) return this.outcome.then(() => 'already_ended' as const)
    if (this.#leaveLine(new OperationError('cancelled_in_line', { id, reason }))) return 'cancelled_in_line'
    try {
      await operations.cancelOperation(id, reason)
      return 'cancelled'
    } catch (refusal) {
      if (StatewardError.is(refusal, 'invalid_transition') || StatewardError.is(refusal, 'not_found'))
        return 'already_ended'
      throw refusal
    }
  }

  begin(): unknown {
    const { operations, lane, onBegun } = this.#options
    try {
      operations.admit(this.spec)
    } catch (refusal) {
      this.#isRefused = true
      // The refusal may depend on an end that is not durable yet, so it is reported through the lane.
      lane.refuse(toError(refusal)).catch((reason: unknown) => this.abandon(reason))
      return refusal
    }
    onBegun(this)
    this.#run()
    return undefined
  }

  refuse(reason: unknown): void {
    this.abandon(reason)
  }

  /** The outcome, once it is durable. Rejects if the operation was never accepted or the registry went away. */
  get outcome(): Promise<OperationOutcome> {
    return this.#ended.promise
  }

  /**
   * Starts the work of a registered operation in a later microtask, or in a later turn of the event loop if very many
   * are starting.
   */
  #run(): void {
    const { operations, share } = this.#options
    const begin = (): void => {
      if (share.isUsedUp) share.nextTurn(() => this.#start())
      else this.#start()
    }
    operations
      .provisioningSucceeded(this.id)
      .then(begin, (refusal: unknown) => this.#onRefused(refusal))
      .catch((fault: unknown) => this.abandon(fault))
  }

  /** Forwards a progress report that the registry has counted. */
  reported(progress: OperationProgress): void {
    this.#job.reportProgress(progress)
    this.reports.progress(progress)
  }

  /** Asks the work to wind down. */
  windDown(): void {
    this.#job.windDown()
  }

  /** Settles with the outcome, whether the work caused it or not. */
  end(outcome: OperationOutcome): void {
    this.#settled = outcome
    this.#ended.resolve(outcome)
    this.#release(new OperationEndedError(this.id, outcome))
    this.#options.span?.end(outcome)
  }

  /** Rejects the outcome: the operation will have none here. */
  abandon(reason: unknown): void {
    if (this.#isOver) return
    this.#ended.reject(reason)
    this.#release(reason)
    this.#options.span?.abandon(messageOf(reason))
  }

  #start(): void {
    const { operations, clock, work, span } = this.#options
    // Nothing starts below an ended operation; this one is about to be ended as well.
    if (this.#isOver || operations.isTreeClosed(this.id)) return
    const startedAt = clock.monotonicNow()
    const call = (): unknown => work(this.#context())
    this.#job.start(
      () => (span === undefined ? call() : span.run(call)),
      ({ answer }) => this.#offer(this.#endOf(answer, startedAt)),
    )
  }

  #context(): WorkContext {
    const job = this.#job
    const { operations, spec } = this.#options
    const { id } = spec
    return {
      id,
      get input() {
        return decodeValue(spec.input)
      },
      get signal() {
        return job.signal
      },
      get retiring() {
        return job.retiring
      },
      progress: (message, fraction) => {
        const progress = checkProgress({ message, ...(fraction !== undefined && { fraction }) })
        // A report after the end is refused, and the refusal can be ignored.
        silence(operations.reportProgress(id, progress))
      },
      output: (text) => {
        checkText('output', text)
        if (!this.#isOver) this.reports.output(text)
      },
      useTokens: (count) => {
        if (!Number.isSafeInteger(count) || count < 0 || !Number.isSafeInteger(this.#tokensUsed + count)) {
          throw new InvalidInputError({
            subject: 'token count',
            field: '$',
            reason: `not a whole number from 0: ${textOf(count)}`,
          })
        }
        this.#tokensUsed += count
      },
    }
  }

  #endOf(answer: JobEnd<'over'>['answer'], startedAt: number): End {
    if (answer.type === 'threw') return failure('threw', answer.thrown)
    try {
      const value = answer.type === 'returned' ? encodeValue(answer.value, 'result') : undefined
      const content = contentOf(value)
      this.#returned = { value, content }
      const durationMs = Math.max(0, Math.trunc(this.#options.clock.monotonicNow() - startedAt)) || 0
      const result = { id: this.id, content, isError: false, durationMs, tokensUsed: this.#tokensUsed }
      return { type: 'completed', result }
    } catch (refusal) {
      return failure('refused', refusal)
    }
  }

  #onAbort(signal: AbortSignal): void {
    if (this.#leaveLine(signal.reason)) return
    this.#offer({ type: 'cancelled', reason: messageOf(signal.reason) })
  }

  /** Removes the operation from the queue; false if it is not queued. */
  #leaveLine(reason: unknown): boolean {
    if (!this.#options.line.refuse(this.id, reason)) return false
    this.#isCancelledInLine = true
    return true
  }

  #onDeadline(deadlineMs: number): void {
    this.#offer({ type: 'failed', error: `deadline of ${deadlineMs} ms exceeded`, reason: 'deadline' })
  }

  /** Offers the first end, and repeats the offer until it is accepted or no end would be. */
  #offer(end: End): void {
    if (this.#isOver || this.#end !== undefined) return
    const { operations, deadlines, logger } = this.#options
    this.#end = new DurableEnd<End>(end, {
      deadlines,
      logger,
      subject: { operationId: this.id },
      offer: (offered) => this.#submit(offered),
      insteadOf,
      onSettled: ({ refusal }) => {
        if (refusal !== undefined) this.#onRefused(refusal)
      },
      isFinal: (refusal) => finalRefusals.some((code) => StatewardError.is(refusal, code)) || operations.isPoisoned,
    })
  }

  #submit(end: End): Promise<void> {
    const { operations } = this.#options
    if (end.type === 'completed') return operations.completeOperation(this.id, end.result)
    if (end.type === 'cancelled') return operations.cancelOperation(this.id, end.reason)
    const { error, reason, cause } = end
    return operations.failOperation(this.id, error, {
      ...(reason !== undefined && { reason }),
      ...(cause !== undefined && { cause }),
    })
  }

  /**
   * If the operation has ended otherwise, that end settles the outcome. After any other refusal nothing would, so the
   * outcome rejects.
   */
  #onRefused(refusal: unknown): void {
    if (this.#isOver || StatewardError.is(refusal, 'invalid_transition') || StatewardError.is(refusal, 'not_found'))
      return
    this.#options.logger.error({ operationId: this.id, ...faultFields(refusal) }, 'an operation was abandoned')
    this.abandon(refusal)
  }

  #release(reason: unknown): void {
    this.#isOver = true
    this.#forgetSignal?.()
    this.#reports?.close()
    this.#end?.[Symbol.dispose]()
    this.#stopReason = reason
    this.#job.stop('over')
  }
}

/** A failure caused by what was thrown. `error` replaces the thrown message. */
function failure(reason: FailureReason, thrown: unknown, error = messageOf(thrown)): End {
  return { type: 'failed', error, reason, cause: errorDetailsOf(thrown) }
}

/** The end to offer after a refusal: usually a failure that carries the refusal. */
function insteadOf(end: End, refusal: unknown, refusals: number): End {
  if (isTooLargeForJournal(refusal)) {
    return failure('refused', refusal, `the end does not fit the journal: ${messageOf(refusal)}`)
  }
  // An internal fault elsewhere, such as a broken barrier, is cleared by the refusal: offer the same end again.
  if (StatewardError.is(refusal, 'internal') && refusals === 0) return end
  return failure('refused', refusal, `the end was refused: ${messageOf(refusal)}`)
}

/** The content of a result: a string as it is, any other JSON value as JSON text, `undefined` as the empty string. */
function contentOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value
  return value === undefined ? '' : JSON.stringify(value)
}
