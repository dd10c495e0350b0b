import { messageOf, StatewardError } from '../base/errors.js'
import { faultFields } from '../base/error-details.js'
import type { Logger } from '../base/logger.js'
import { LaneError } from './errors.js'

/** Whether a lane takes work. */
export type LaneHealth =
  | { readonly status: 'open' }
  | { readonly status: 'poisoned'; readonly cause: string }
  /** The directory has another owner, or is gone: only closing is left. */
  | { readonly status: 'lost'; readonly cause: string }
  | { readonly status: 'closed' }

const open: LaneHealth = Object.freeze({ status: 'open' })

/** Keeps the health of a lane: what the journal and the streams say about failures goes in, and whether work is taken comes out. */
export class HealthKeeper {
  readonly #logger: Logger
  #health: LaneHealth = open
  /** Set for good once a durable change could not be applied. */
  #applyFault: LaneError | undefined

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** How it is now; a poisoned lane names the first failure. */
  get current(): LaneHealth {
    return this.#health
  }

  /** True while a failure keeps work from being taken. */
  get isBroken(): boolean {
    return this.#health.status === 'poisoned' || this.#health.status === 'lost'
  }

  /** The first failure to apply a durable change, for good. */
  get applyFault(): LaneError | undefined {
    return this.#applyFault
  }

  /** What new work is refused with; nothing while the lane is open. */
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

  /** Raises `lane_lost`, or `lane_apply_failed` where memory is behind the journal: neither is mended by reopening. */
  checkMendable(): void {
    if (this.#health.status === 'lost') throw lostError(this.#health.cause)
    if (this.#applyFault !== undefined) throw this.#applyFault
  }

  /** The journal is as good as new. */
  reopened(): void {
    this.#health = open
  }

  /** No work is taken any more. */
  close(): void {
    this.#health = Object.freeze({ status: 'closed' })
  }

  /** True when the journal says that it broke; its other answers are on their way. */
  noticePoison(cause: unknown): boolean {
    if (!StatewardError.is(cause, 'journal_poisoned') && !StatewardError.is(cause, 'journal_lock_lost')) return false
    this.#poison(cause)
    return true
  }

  /** Nobody can say whether a write survives a crash: no work is taken until the lane is reopened. */
  durabilityUnknown(cause: Error): LaneError {
    this.#poison(cause)
    const text = messageOf(cause)
    if (StatewardError.is(cause, 'journal_lock_lost')) return lostError(text, { cause })
    return new LaneError('lane_durability_unknown', { cause: text }, { cause })
  }

  /** Memory is behind the journal now and nothing more may be decided on it: an end that is durable would be made again. */
  applyFailed(cause: Error): StatewardError {
    const failure = new LaneError('lane_apply_failed', { cause: messageOf(cause) }, { cause })
    this.#applyFault ??= failure
    this.#poison(failure)
    // The stream may have said it in its own words.
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
