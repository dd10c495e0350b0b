import { faultFields } from '../base/error-details.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { StatewardError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { createDeferred, type Deferred } from '../base/promises.js'
import { isLaneFailure, isTooLargeForJournal } from '../lane/errors.js'

/** What has become of an end: it is durable, or nothing more is offered after a final refusal or because its owner dropped it. */
export interface EndSettlement {
  readonly result: 'durable' | 'given_up'
  readonly refusal?: unknown
}

/** How an end is brought into the journal. */
export interface DurableEndOptions<End> {
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Names whose end it is, in the log. */
  readonly subject: Readonly<Record<string, unknown>>
  /**
   * Offers an end. `refusals` says how many ends have been refused before, so that what merely follows from an end can be
   * left out of a later offer.
   */
  readonly offer: (end: End, refusals: number) => Promise<unknown>
  /** What is offered in place of an end that was refused for what it is: a failure that carries the refusal. */
  readonly insteadOf: (end: End, refusal: unknown, refusals: number) => End
  /** True for a refusal after which no other end would be taken either: there is one already, or nothing changes any more. */
  readonly isFinal: (refusal: unknown) => boolean
  /** True for a failure that says nothing about the end, so that it is offered again later. Default: failures of the lane. */
  readonly isTransient?: (failure: unknown) => boolean
  /** How often something else is offered in place of a refused end. Default 2. */
  readonly mostRefusals?: number
  /** Called once when nothing more is offered, beside {@link DurableEnd.settled}; must not throw. */
  readonly onSettled?: (settlement: EndSettlement) => void
}

/** Milliseconds before an end that the journal could not take is offered again, at first and at most. */
export const firstRetryMs = 100
export const longestRetryMs = 5000
/**
 * One end on its way into the journal: it is offered until the journal takes it, somebody else has ended the work, or it
 * is dropped by its owner. A journal that cannot take it now is asked again, later and later; an end that is refused for
 * what it is, because it is too large or breaks a rule, is replaced by a failure that says so. So no end is lost,
 * whatever it is made of.
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

  /** Resolves when nothing more is offered. */
  get settled(): Promise<EndSettlement> {
    if (this.#settled === undefined) {
      this.#settled = createDeferred<EndSettlement>()
      if (this.#settlement !== undefined) this.#settled.resolve(this.#settlement)
    }
    return this.#settled.promise
  }

  /** Offers nothing any more; the next process will find the work without an end. */
  [Symbol.dispose](): void {
    this.#isDisposed = true
    this.#retry?.[Symbol.dispose]()
    this.#again = undefined
    this.#settle({ result: 'given_up' })
  }

  /** Offers it at once if it waits to be offered again: its owner has no time left. */
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

  /** What throws at once counts like what rejects. */
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
      logger.warn({ ...subject, ...faultFields(failure) }, 'an end is not durable yet, trying again')
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
