import { faultFields } from '../base/error-details.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { StatewardError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { createDeferred, type Deferred } from '../base/promises.js'
import { isLaneFailure, isTooLargeForJournal } from '../lane/errors.js'

/**
 * The result of offering an end: it is durable, or it is not offered any more, because of a final refusal or because
 * its owner dropped it.
 */
export interface EndSettlement {
  readonly result: 'durable' | 'given_up'
  readonly refusal?: unknown
}

/** Options of a {@link DurableEnd}. */
export interface DurableEndOptions<End> {
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Identifies the end's owner in the log. */
  readonly subject: Readonly<Record<string, unknown>>
  /**
   * Offers an end. `refusals` is the number of ends refused so far, so that mere consequences of an end can be left
   * out of a later offer.
   */
  readonly offer: (end: End, refusals: number) => Promise<unknown>
  /** The end to offer in place of a refused one: a failure that contains the refusal. */
  readonly insteadOf: (end: End, refusal: unknown, refusals: number) => End
  /**
   * True for a refusal after which no other end would be accepted either: the work has an end already, or nothing can
   * change any more.
   */
  readonly isFinal: (refusal: unknown) => boolean
  /**
   * True for a failure that says nothing about the end, so that it is offered again later. Default: failures of the
   * lane.
   */
  readonly isTransient?: (failure: unknown) => boolean
  /** How often a refused end is replaced. Default 2. */
  readonly mostRefusals?: number
  /** Called once when the end is not offered any more, in addition to {@link DurableEnd.settled}. Must not throw. */
  readonly onSettled?: (settlement: EndSettlement) => void
}

/** First and longest pause before an end is offered again, in milliseconds. */
export const firstRetryMs = 100
export const longestRetryMs = 5000
/**
 * One end on its way into the journal. It is offered until the journal accepts it, other code has ended the work, or
 * its owner drops it. If the journal cannot take it now, it is offered again after growing pauses. If the end itself
 * is refused, because it is too large or breaks a rule, it is replaced by a failure that says so. So no end is lost,
 * whatever it contains.
 */
export class DurableEnd<End> implements Disposable {
  readonly #options: DurableEndOptions<End>
  #retry: Deadline | undefined
  #again: (() => void) | undefined
  #isDisposed = false
  #settlement: EndSettlement | undefined
  #settled: Deferred<EndSettlement> | undefined

  constructor(end: End, options: DurableEndOptions<End>) {
    this.#options = options
    this.#offer(end, firstRetryMs, 0)
  }

  /** Resolves when the end is not offered any more. */
  get settled(): Promise<EndSettlement> {
    if (this.#settled === undefined) {
      this.#settled = createDeferred<EndSettlement>()
      if (this.#settlement !== undefined) this.#settled.resolve(this.#settlement)
    }
    return this.#settled.promise
  }

  /** Stops offering the end. The next process will find the work without an end. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#retry?.[Symbol.dispose]()
    this.#again = undefined
    this.#settle({ result: 'given_up' })
  }

  /** Offers it again at once if it is waiting, for an owner that has no time left. */
  hurry(): void {
    this.#retry?.[Symbol.dispose]()
    this.#again?.()
  }

  #offer(end: End, delay: number, refusals: number): void {
    this.#again = undefined
    this.#attempt(end, refusals).then(
      () => this.#settle({ result: 'durable' }),
      (failure: unknown) => this.#onFailure(end, failure, delay, refusals),
    )
  }

  /** Treats an exception like a rejection. */
  #attempt(end: End, refusals: number): Promise<unknown> {
    try {
      return this.#options.offer(end, refusals)
    } catch (failure) {
      return Promise.reject(failure)
    }
  }

  #settle(settlement: EndSettlement): void {
    if (this.#settlement !== undefined) return
    this.#settlement = settlement
    this.#settled?.resolve(settlement)
    this.#options.onSettled?.(settlement)
  }

  #onFailure(end: End, failure: unknown, delay: number, refusals: number): void {
    if (this.#isDisposed) return
    const { subject, logger, deadlines, insteadOf, isFinal, mostRefusals = 2 } = this.#options
    const { isTransient = isFailureOfLane } = this.#options
    if (isFinal(failure) || StatewardError.is(failure, 'lane_closed'))
      return this.#settle({ result: 'given_up', refusal: failure })
    if (isTransient(failure)) {
      logger.warn({ ...subject, ...faultFields(failure) }, 'an end is not durable yet, retrying')
      const next = Math.min(2 * delay, longestRetryMs)
      this.#again = () => this.#offer(end, next, refusals)
      this.#retry = deadlines.after(delay, this.#again)
      return
    }
    logger.error({ ...subject, ...faultFields(failure) }, 'an end was refused')
    if (refusals === mostRefusals) return this.#settle({ result: 'given_up', refusal: failure })
    this.#offer(insteadOf(end, failure, refusals), firstRetryMs, refusals + 1)
  }
}

function isFailureOfLane(failure: unknown): boolean {
  return isLaneFailure(failure) && !isTooLargeForJournal(failure)
}
