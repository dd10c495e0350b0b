import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import { StatewardError } from '../base/errors.js'

interface Caused {
  readonly cause: string
}

interface OfStream {
  readonly stream: string
}

const messages = {
  /** The journal refused the write and took it back. Nothing changed; the same call may be tried again. */
  lane_not_appended: ({ cause }: Caused) => `not appended: ${cause}`,
  /**
   * The sync failed. Whether the change survives a crash is unknown, and no observer has seen it. The lane is
   * poisoned.
   */
  lane_durability_unknown: ({ cause }: Caused) => `durability unknown: ${cause}`,
  /**
   * A durable change could not be applied, so memory and journal differ from here on. The journal is right: close the
   * runtime and open the directory anew, which reads it back. `reopen()` is refused with this code.
   */
  lane_apply_failed: ({ cause }: Caused) =>
    `a durable change could not be applied; close the runtime and open it again: ${cause}`,
  /** An earlier failure poisoned the lane. Call `reopen()` to recover, unless the cause says otherwise. */
  lane_poisoned: ({ cause }: Caused) => `the lane accepts nothing, because it failed earlier: ${cause}`,
  /** Another process owns the journal now. This lane takes no more work, and changes in progress were not made. */
  lane_lost: ({ cause }: Caused) => `the journal is lost to this process: ${cause}`,
  /** The lane was closed. */
  lane_closed: () => 'the lane is closed',
  /** A record or snapshot row belongs to a stream that this program does not know. `record` says which. */
  lane_unknown_stream: ({ stream, record }: OfStream & { readonly record: string }) =>
    `${record} belongs to an unknown stream: ${stream}`,
  /** A stream of this name is attached already. */
  lane_stream_exists: ({ stream }: OfStream) => `stream already attached: ${stream}`,
}

/** Data of every lane error, by code; the code names the stage that failed. */
export type LaneErrorData = ErrorDataOf<typeof messages>

/** Stable code of a {@link LaneError}. */
export type LaneErrorCode = keyof LaneErrorData

/**
 * Thrown by the lane when a valid decision could not be made durable. A refusal is never a `LaneError`. The message
 * is derived from `data`.
 */
export const LaneError = defineErrors('LaneError', messages)
export type LaneError<Code extends LaneErrorCode = LaneErrorCode> = StatewardError<Code, LaneErrorData[Code]>

/**
 * True for a failure of the lane that may not happen again on a later try. Anything else is a refusal, or the end of
 * the lane.
 */
export function isLaneFailure(cause: unknown): boolean {
  return (
    StatewardError.is(cause, 'lane_not_appended') ||
    StatewardError.is(cause, 'lane_durability_unknown') ||
    StatewardError.is(cause, 'lane_poisoned')
  )
}

/** True if trying again cannot help: the change is larger than one append of the journal may be. */
export function isTooLargeForJournal(cause: unknown): boolean {
  return StatewardError.is(cause) && StatewardError.is(cause.cause, 'journal_record_too_large')
}
