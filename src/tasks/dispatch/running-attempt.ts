import type { Clock } from '../../base/clock.js'
import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import { messageOf, StatewardError } from '../../base/errors.js'
import { createDeferred } from '../../base/promises.js'
import { failed, succeeded, suspended, timedOut, type AttemptOutcome } from '../attempt.js'
import type { AttemptId, RunId, TaskId } from '../ids.js'
import type { Seconds } from '../scalars.js'
import { AttemptAborted, isSuspension, type AbortCause } from './handler.js'
import { bytesOf } from './submission.js'

/** Milliseconds that an aborted handler has to answer before the attempt ends without it (spec mutation authority 7.5). */
const cooperationMs = 250

/** Who runs what, under which lease. */
export interface AttemptIdentity {
  readonly runId: RunId
  readonly taskId: TaskId
  readonly attemptId: AttemptId
  readonly fencingToken: number
}

/** Why a run is put aside; stands in its history. */
export type SuspendReason = 'handler' | 'requested' | 'budget_exhausted' | 'shutdown'

/** How an attempt ended, for the batch that finishes it. */
export interface AttemptReport {
  readonly outcome: AttemptOutcome
  /** Comes with a suspended outcome. */
  readonly suspendReason?: SuspendReason
}

/**
 * One handler at work. It ends when the handler answers, or a short while after it was told to stop and
 * did not: a slot is never lost to a handler that ignores its signal.
 */
export class RunningAttempt {
  readonly identity: AttemptIdentity
  /** Set once its end is on the way to the journal. */
  isFinishing = false
  readonly #deadlines: DeadlineQueue
  readonly #abort = new AbortController()
  readonly #forced = createDeferred<never>()
  readonly #timers: Deadline[] = []
  #cause: AbortCause | undefined
  #heartbeat: Deadline | undefined

  constructor(identity: AttemptIdentity, deadlines: DeadlineQueue) {
    this.identity = identity
    this.#deadlines = deadlines
  }

  /** What the handler watches. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Runs the handler to an answer or a forced end; never rejects. */
  async execute(work: () => Promise<unknown>, timeoutSecs: Seconds | undefined): Promise<AttemptReport> {
    if (timeoutSecs !== undefined) {
      this.#timers.push(this.#deadlines.after(timeoutSecs * 1000, () => this.stop('timeout')))
    }
    try {
      const answer = await Promise.race([work(), this.#forced.promise])
      return this.#reportAnswer(answer, timeoutSecs)
    } catch (thrown) {
      return this.#reportFailure(thrown, timeoutSecs)
    }
  }

  /** Tells the handler to stop; the first cause counts. */
  stop(cause: AbortCause): void {
    if (this.#cause !== undefined) return
    this.#cause = cause
    const reason = new AttemptAborted(cause)
    this.#timers.push(this.#deadlines.after(cooperationMs, () => this.#forced.reject(reason)))
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

  #reportAnswer(answer: unknown, timeoutSecs: Seconds | undefined): AttemptReport {
    if (isSuspension(answer)) {
      return { outcome: suspended(bytesOf(answer.output)), suspendReason: this.#suspendReason() ?? 'handler' }
    }
    if (this.#cause === 'timeout' && timeoutSecs !== undefined) return { outcome: timedOut(timeoutSecs) }
    return { outcome: succeeded(bytesOf(answer)) }
  }

  #reportFailure(thrown: unknown, timeoutSecs: Seconds | undefined): AttemptReport {
    if (this.#cause === 'timeout' && timeoutSecs !== undefined) return { outcome: timedOut(timeoutSecs) }
    const suspendReason = this.#suspendReason()
    if (suspendReason !== undefined) return { outcome: suspended(), suspendReason }
    if (StatewardError.is(thrown, 'budget_exceeded')) return { outcome: suspended(), suspendReason: 'budget_exhausted' }
    const failureClass = StatewardError.is(thrown, 'terminal_failure') ? 'terminal' : 'retryable'
    return { outcome: failed(messageOf(thrown), failureClass) }
  }

  #suspendReason(): SuspendReason | undefined {
    switch (this.#cause) {
      case 'budget_exhausted':
        return 'budget_exhausted'
      case 'suspend_requested':
        return 'requested'
      case 'shutdown':
        return 'shutdown'
      case 'canceled':
      case 'superseded':
      case 'timeout':
      case undefined:
        return undefined
    }
  }
}

/** Epoch seconds that never run backwards: commands of one authority must not predate one another. */
export function createSecondsClock(clock: Clock): () => number {
  let latest = 0
  return () => {
    latest = Math.max(latest, Math.floor(clock.wallNow() / 1000))
    return latest
  }
}
