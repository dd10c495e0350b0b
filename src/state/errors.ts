import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'

interface Found {
  readonly stream: string
  readonly expected: number
  readonly found: number
}

const messages = {
  /** The command would get a different number than its caller expected. Nothing changed. */
  non_monotonic_sequence: ({ expected, provided }: { readonly expected: number; readonly provided: number }) =>
    `the next sequence is ${expected}, not ${provided}: read again`,
  /** No safe integer is left to number another event with. Nothing changed. */
  sequence_overflow: () => 'no sequence is left',
  /** The stream has not been started on a lane. */
  stream_not_started: ({ stream }: { readonly stream: string }) => `start the stream ${stream} on a lane first`,
  /** The builder of the batch has returned already. */
  batch_closed: () => 'a batch takes commands only until its builder returns; do not await in it',
  /** A recorded event does not follow the previous one. */
  replay_sequence: ({ stream, expected, found }: Found) =>
    `event ${found} of ${stream} does not follow: expected ${expected}`,
  /** A snapshot was written by another version of the format. */
  snapshot_version: ({ stream, expected, found }: Found) =>
    `the snapshot of ${stream} has version ${found}, this program reads ${expected}`,
  /** Rows of a snapshot are missing, repeated or out of place. */
  snapshot_incomplete: ({ stream, reason }: { readonly stream: string; readonly reason: string }) =>
    `the snapshot of ${stream} is incomplete: ${reason}`,
  /** The snapshot contains a different number of rows of a kind than its header says. */
  snapshot_row_count: ({ stream, row, expected, found }: Found & { readonly row: string }) =>
    `the snapshot of ${stream} holds ${found} rows "${row}", its header says ${expected}`,
}

/** Data of every error of durable state, by code. */
export type StateErrorData = ErrorDataOf<typeof messages>

/** Stable code of a {@link StateError}. */
export type StateErrorCode = keyof StateErrorData

/** Thrown by the durable state of rooms. The message is derived from `data`. */
export const StateError = defineErrors('StateError', messages)
export type StateError<Code extends StateErrorCode = StateErrorCode> = StatewardError<Code, StateErrorData[Code]>
