import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { messageOf, StatewardError, unreachable } from '../../base/errors.js'
import { createDeferred } from '../../base/promises.js'
import { failed, succeeded, suspended, timedOut, type AttemptOutcome } from '../attempt.js'
import type { AttemptIdentity, AttemptReport, SuspendReason } from './attempt.js'
import { AttemptAborted, isSuspension, type AbortCause } from './handler.js'
import { bytesOf } from './submission.js'

/** Milliseconds that an aborted handler has to answer before the attempt ends without it (spec mutation authority 7.5). */
export const cooperationMs = 250

/**
 * One handler at work. It ends when the handler answers, or a short while after it was told to stop and
 * did not: a slot is never lost to a handler that ignores its signal.
 */
export class RunningAttempt {
  readonly identity: AttemptIdentity
  readonly #timeoutMs: number | undefined
  readonly #deadlines: DeadlineQueue
  readonly #abort = new AbortController()
  readonly #forced = createDeferred<never>()
  readonly #timers: Deadline[] = []
  #cause: AbortCause | undefined
  #isForced = false
  #heartbeat: Deadline | undefined

  constructor(identity: AttemptIdentity, timeoutMs: number | undefined, deadlines: DeadlineQueue) {
    this.identity = identity
    this.#timeoutMs = timeoutMs
    this.#deadlines = deadlines
  }

  /** What the handler watches. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Runs the work to an answer or a forced end; never rejects. */
  async execute(
    run: (work: () => Promise<unknown>) => Promise<unknown>,
    handler: () => unknown,
  ): Promise<AttemptReport> {
    const timeoutMs = this.#timeoutMs
    if (timeoutMs !== undefined) {
      this.#timers.push(this.#deadlines.after(timeoutMs, () => this.stop('timeout')))
    }
    try {
      const work = async (): Promise<unknown> => handler()
      const answer = await run(() => Promise.race([work(), this.#forced.promise]))
      return this.#reportAnswer(answer)
    } catch (thrown) {
      return this.#reportFailure(thrown)
    }
  }

  /** Tells the handler to stop; the first cause counts. */
  stop(cause: AbortCause): void {
    if (this.#cause !== undefined) return
    this.#cause = cause
    const reason = new AttemptAborted(cause)
    const force = (): void => {
      this.#isForced = true
      this.#forced.reject(reason)
    }
    this.#timers.push(this.#deadlines.after(cooperationMs, force))
    this.#abort.abort(reason)
  }

  /** Calls `extend` when it is time to prove that the lease is still worked under; replaces the earlier appointment. */
  heartbeatAfter(delayMs: number, extend: () => void): void {
    this.#heartbeat?.[Symbol.dispose]()
    this.#heartbeat = this.#deadlines.after(delayMs, extend)
  }

  /** Leaves no timer behind. */
  release(): void {
    this.#heartbeat?.[Symbol.dispose]()
    for (const timer of this.#timers) timer[Symbol.dispose]()
  }

  /** An answer that cannot be written down is a failure for good: the work is done, and doing it again says the same. */
  #reportAnswer(answer: unknown): AttemptReport {
    const timeout = this.#timeout()
    try {
      if (isSuspension(answer)) return this.#report(suspended(bytesOf(answer.output, 'output')), 'handler')
      return this.#report(timeout ?? succeeded(bytesOf(answer, 'output')))
    } catch (refusal) {
      return this.#report(timeout ?? failed(`the output cannot be recorded: ${messageOf(refusal)}`, 'terminal'))
    }
  }

  #reportFailure(thrown: unknown): AttemptReport {
    const timeout = this.#timeout()
    if (timeout !== undefined) return this.#report(timeout)
    if (suspensionFor(this.#cause) !== undefined) return this.#report(suspended())
    if (StatewardError.is(thrown, 'budget_exceeded')) return this.#report(suspended(), 'budget_exhausted')
    const failureClass = StatewardError.is(thrown, 'terminal_failure') ? 'terminal' : 'retryable'
    return this.#report(failed(messageOf(thrown), failureClass))
  }

  #report(outcome: AttemptOutcome, reason?: SuspendReason): AttemptReport {
    const isAnswered = !this.#isForced
    if (outcome.result !== 'suspended') return { outcome, isAnswered }
    return { outcome, isAnswered, suspendReason: suspensionFor(this.#cause) ?? reason ?? 'handler' }
  }

  #timeout(): AttemptOutcome | undefined {
    const isTimeout = this.#cause === 'timeout' && this.#timeoutMs !== undefined
    return isTimeout ? timedOut(this.#timeoutMs) : undefined
  }
}

/** The causes after which the run is to go on later. */
function suspensionFor(cause: AbortCause | undefined): SuspendReason | undefined {
  switch (cause) {
    case 'budget_exhausted':
      return 'budget_exhausted'
    case 'suspend_requested':
      return 'requested'
    case 'shutdown':
      return 'shutdown'
    case 'cancelled':
    case 'superseded':
    case 'timeout':
    case undefined:
      return undefined
    default:
      return unreachable(cause, 'abort cause')
  }
}
