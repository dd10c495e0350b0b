import { StatewardError } from '../base/errors.js'

/** Data of every lane error, by code; the code names the stage that failed. */
export interface LaneErrorData {
  /** The journal refused the write and took it back: nothing changed, the same call may be tried again. */
  lane_not_appended: { readonly cause: string }
  /** The sync failed: whether the change survives a crash is unknown, and nobody was told of it. The lane is poisoned. */
  lane_durability_unknown: { readonly cause: string }
  /**
   * A durable change could not be applied: memory and journal disagree from here on. What is in the journal stands, so the
   * way out is to close the runtime and open the directory anew, which reads it back; `reopen()` is refused with this code.
   */
  lane_apply_failed: { readonly cause: string }
  /** An earlier failure poisoned the lane; `reopen()` is the way out, unless it says otherwise. */
  lane_poisoned: { readonly cause: string }
  /** The journal belongs to somebody else now: this lane takes nothing any more, and what it had under way is not there. */
  lane_lost: { readonly cause: string }
  /** The lane was closed. */
  lane_closed: Record<string, never>
  /** A record or snapshot row belongs to no stream this program knows. */
  lane_unknown_stream: { readonly stream: string }
  /** A stream of this name is attached already. */
  lane_stream_exists: { readonly stream: string }
}

/** Stable code of a {@link LaneError}. */
export type LaneErrorCode = keyof LaneErrorData

/** Raised by the lane after a decision was valid but could not be made durable. A refusal is never a `LaneError`. */
export class LaneError<Code extends LaneErrorCode = LaneErrorCode> extends StatewardError<Code, LaneErrorData[Code]> {
  override readonly name = 'LaneError'
}

/** True for a failure of the lane that a later try may not meet; anything else is a refusal, or the end of the lane. */
export function isLaneFailure(cause: unknown): boolean {
  return (
    StatewardError.is(cause, 'lane_not_appended') ||
    StatewardError.is(cause, 'lane_durability_unknown') ||
    StatewardError.is(cause, 'lane_poisoned')
  )
}

/** True when no try will help: the change is larger than one append of the journal may be. */
export function isTooLargeForJournal(cause: unknown): boolean {
  return StatewardError.is(cause) && StatewardError.is(cause.cause, 'journal_record_too_large')
}
