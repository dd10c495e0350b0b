import { messageOf, StatewardError } from '../base/errors.js'
import { faultFields } from '../base/error-details.js'
import type { Logger } from '../base/logger.js'
import { LaneError } from './errors.js'

/** Whether a lane takes work. */
export type LaneHealth =
  | { readonly status: 'open' }
  | { readonly status: 'poisoned'; readonly cause: string }
  /** The directory has another owner, or is gone. The lane can only be closed. */
  | { readonly status: 'lost'; readonly cause: string }
  | { readonly status: 'closed' }

const open: LaneHealth = Object.freeze({ status: 'open' })

/**
 * Tracks the health of a lane: it is told of failures of the journal and the streams, and decides whether work is
 * taken.
 */
export class HealthKeeper {
  readonly #logger: Logger
  #health: LaneHealth = open
  /** Set permanently once a durable change could not be applied. */
  #applyFault: LaneError | undefined

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** The current health. A poisoned lane names the first failure. */
  get current(): LaneHealth {
    return this.#health
  }

  /** True while a failure prevents work from being taken. */
  get isBroken(): boolean {
    return this.#health.status === 'poisoned' || this.#health.status === 'lost'
  }

  /** The first failure to apply a durable change. It is never cleared. */
  get applyFault(): LaneError | undefined {
    return this.#applyFault
  }

  /** The error that new work is refused with; `undefined` while the lane is open. */
  get unusable(): LaneError | undefined {
    const health = this.#health
    switch (health.status) {
      case 'open':
        return undefined
      case 'poisoned':
        return new LaneError('lane_poisoned', { cause: health.cause })
      case 'lost':
        return lostError(health.cause)
      case 'closed':
        return new LaneError('lane_closed', {})
    }
  }

  /** Throws `lane_lost`, or `lane_apply_failed` if memory is behind the journal: reopening repairs neither. */
  checkMendable(): void {
    if (this.#health.status === 'lost') throw lostError(this.#health.cause)
    if (this.#applyFault !== undefined) throw this.#applyFault
  }

  /** The journal works again. */
  reopened(): void {
    this.#health = open
  }

  /** No more work is taken. */
  close(): void {
    this.#health = Object.freeze({ status: 'closed' })
  }

  /** Returns true if the cause means that the journal is broken. Its other promises will settle later. */
  noticePoison(cause: unknown): boolean {
    if (!StatewardError.is(cause, 'journal_poisoned') && !StatewardError.is(cause, 'journal_lock_lost')) return false
    this.#poison(cause)
    return true
  }

  /** A write may or may not survive a crash: no work is taken until the lane is reopened. */
  durabilityUnknown(cause: Error): LaneError {
    this.#poison(cause)
    const text = messageOf(cause)
    if (StatewardError.is(cause, 'journal_lock_lost')) return lostError(text, { cause })
    return new LaneError('lane_durability_unknown', { cause: text }, { cause })
  }

  /**
   * Memory is behind the journal, so nothing more may be decided on it: an end that is durable already would be
   * decided again.
   */
  applyFailed(cause: Error): StatewardError {
    const failure = new LaneError('lane_apply_failed', { cause: messageOf(cause) }, { cause })
    this.#applyFault ??= failure
    this.#poison(failure)
    // The stream may have thrown its own typed error.
    return StatewardError.is(cause) ? cause : failure
  }

  #poison(cause: Error): void {
    const text = messageOf(cause)
    const { status } = this.#health
    if (StatewardError.is(cause, 'journal_lock_lost')) {
      if (status === 'closed' || status === 'lost') return
      this.#health = Object.freeze({ status: 'lost', cause: text })
      this.#logger.error(faultFields(cause), 'the lane has lost its journal for good')
    } else if (status === 'open') {
      this.#health = Object.freeze({ status: 'poisoned', cause: text })
      this.#logger.error(faultFields(cause), 'the lane is poisoned')
    }
  }
}

function lostError(cause: string, options?: ErrorOptions): LaneError<'lane_lost'> {
  return new LaneError('lane_lost', { cause }, options)
}
