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

/** What the work of an operation is given. */
export interface WorkContext<Input = unknown> {
  readonly id: OperationId
  /** The `input` that the operation was started with, a fresh copy on each read; `undefined` if there is none. */
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
 * The function of an operation. A string becomes the result as it is, anything else as JSON. The operation fails if JSON cannot
 * hold the result, and if the function throws.
 */
export type Work<Result = unknown, Input = unknown> = (context: WorkContext<Input>) => Result | PromiseLike<Result>

/** Raised with code `operation_ended` as the reason of the aborted signal of a work. */
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
  /** Where running jobs are listed. */
  readonly jobs: JobList
  /** What the session may take of a turn of the event loop. */
  readonly share: LoopShare
  readonly logger: Logger
  /** Milliseconds of work after which the operation fails. */
  readonly deadlineMs: number | undefined
  /** Begun when the operation is asked for, below the span that was active then. */
  readonly span: OperationSpan | undefined
  /** Cancels the operation when it aborts. */
  readonly signal: AbortSignal | undefined
  /** Operations of one key share a limit of their own. */
  readonly key: string | undefined
  readonly work: Work
  /** Where it waits until there is room. */
  readonly line: OperationLine
  /** Told once it is registered. */
  readonly onBegun: (execution: Execution) => void
}

/** How the work, its deadline or its caller's signal ends the operation. */
type End = Extract<OperationOutcome, { type: 'completed' | 'failed' | 'cancelled' }>

/** Refusals after which no other end would be taken: there is one already, or nothing changes here any more. */
const finalRefusals = ['invalid_transition', 'not_found', 'owner_retired']

/**
 * The work of one operation: a {@link Job} whose end becomes the end of the operation by a {@link DurableEnd}.
 *
 * The first of its answer and its deadline is offered as the end. The operation ends when the registry says so, by that
 * offer or by anybody else's (a cancel, a termination); only then is a job that still runs told to stop, so that whoever
 * sees its signal abort can read the outcome. Nobody waits for it any more; it is listed until its code has ended. The
 * actor of the job is the one of the operation, so that the job makes none of its own.
 */
export class Execution implements Candidate, HandleTarget {
  readonly #options: ExecutionOptions
  readonly #job: Job<'over'>
  readonly #ended = createDeferred<OperationOutcome>()
  #end: DurableEnd<End> | undefined
  /** Why the job is told to stop. */
  #stopReason: unknown
  #isOver = false
  #isRefused = false
  #isCancelledInLine = false
  #settled: OperationOutcome | undefined
  #tokensUsed = 0
  /** What the work has returned, as JSON, and the content that says it in the outcome. */
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
    // A host may have completed the operation otherwise.
    return this.#returned?.content === content ? decodeValue(this.#returned.value) : content
  }

  async cancel(reason: string | null): Promise<OperationCancelAnswer> {
    const { operations } = this.#options
    const { id } = this
    if (this.#settled !== undefined || this.#isCancelledInLine) return 'already_ended'
    // One that never began may have the id of somebody else's operation.
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
      // It may lean on an end that is not durable yet.
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

  /** The outcome, once it is durable; rejects when the operation was never accepted or the registry went away. */
  get outcome(): Promise<OperationOutcome> {
    return this.#ended.promise
  }

  /** Starts the work of a registered operation, in a later microtask; in a later turn when there are a great many. */
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

  /** A report of progress was counted. */
  reported(progress: OperationProgress): void {
    this.#job.reportProgress(progress)
    this.reports.progress(progress)
  }

  /** The operation is asked to wind down. */
  windDown(): void {
    this.#job.windDown()
  }

  /** The operation has ended, by its work or without it. */
  end(outcome: OperationOutcome): void {
    this.#settled = outcome
    this.#ended.resolve(outcome)
    this.#release(new OperationEndedError(this.id, outcome))
    this.#options.span?.end(outcome)
  }

  /** The operation will have no outcome here. */
  abandon(reason: unknown): void {
    if (this.#isOver) return
    this.#ended.reject(reason)
    this.#release(reason)
    this.#options.span?.abandon(messageOf(reason))
  }

  #start(): void {
    const { operations, clock, work, span } = this.#options
    // Below an operation that has ended nothing starts; its end is on the way.
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
        // A report that comes after the end is refused, which is all that has to happen.
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
      const value = encodedOf(answer.type === 'returned' ? answer.value : undefined)
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

  /** Cancelled before it began; false when it is not in line. */
  #leaveLine(reason: unknown): boolean {
    if (!this.#options.line.refuse(this.id, reason)) return false
    this.#isCancelledInLine = true
    return true
  }

  #onDeadline(deadlineMs: number): void {
    this.#offer({ type: 'failed', error: `deadline of ${deadlineMs} ms exceeded`, reason: 'deadline' })
  }

  /** The first end is offered, until it is taken or nothing would be. */
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

  /** Whoever has ended the operation otherwise settles the outcome; after any other refusal nobody would. */
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

/** A failure with what was thrown, under a text of its own where the thing has none that says enough. */
function failure(reason: FailureReason, thrown: unknown, error = messageOf(thrown)): End {
  return { type: 'failed', error, reason, cause: errorDetailsOf(thrown) }
}

/** What is offered in place of a refused end: a failure that carries the refusal. */
function insteadOf(end: End, refusal: unknown, refusals: number): End {
  if (isTooLargeForJournal(refusal)) {
    return failure('refused', refusal, `the end does not fit the journal: ${messageOf(refusal)}`)
  }
  // A fault of something else, such as a broken barrier, is gone with the refusal: the end itself counts.
  if (StatewardError.is(refusal, 'internal') && refusals === 0) return end
  return failure('refused', refusal, `the end was refused: ${messageOf(refusal)}`)
}

/** The value as JSON. Raises `invalid_input` naming the path of the first part that JSON would change on the way. */
function encodedOf(value: unknown): JsonValue | undefined {
  if (value instanceof Uint8Array) {
    throw new InvalidInputError({ subject: 'result', field: '$', reason: 'bytes are no JSON, encode them as text' })
  }
  return encodeValue(value, 'result')
}

/** Text as it is, any other JSON value as its text, `undefined` as an empty one. */
function contentOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value
  return value === undefined ? '' : JSON.stringify(value)
}
