import { StatewardError } from '../base/errors.js'

/** Data of every error of durable state, by code. */
export interface StateErrorData {
  /** The command would get another number than its caller expected; nothing was changed. */
  non_monotonic_sequence: { readonly expected: number; readonly provided: number }
  /** There is no safe integer left to number another event with; nothing was changed. */
  sequence_overflow: Record<string, never>
  /** The stream has no lane yet. */
  stream_not_started: { readonly stream: string }
  /** The builder of the batch has returned. */
  batch_closed: Record<string, never>
  /** A recorded event does not follow the one before it. */
  replay_sequence: { readonly stream: string; readonly expected: number; readonly found: number }
  /** A snapshot was written by another version of the format. */
  snapshot_version: { readonly stream: string; readonly expected: number; readonly found: number }
  /** Rows of a snapshot are missing, repeated or out of place. */
  snapshot_incomplete: { readonly stream: string; readonly reason: string }
  /** The snapshot holds another number of rows of a kind than its header says. */
  snapshot_row_count: {
    readonly stream: string
    readonly row: string
    readonly expected: number
    readonly found: number
  }
}

/** Stable code of a {@link StateError}. */
export type StateErrorCode = keyof StateErrorData

const messages: { readonly [Code in StateErrorCode]: (data: StateErrorData[Code]) => string } = {
  non_monotonic_sequence: ({ expected, provided }) => `the next sequence is ${expected}, not ${provided}`,
  sequence_overflow: () => 'every sequence has been given out',
  stream_not_started: ({ stream }) => `start the stream ${stream} on a lane first`,
  batch_closed: () => 'a batch takes commands only until its builder returns; do not await in it',
  replay_sequence: ({ stream, expected, found }) => `event ${found} of ${stream} does not follow: expected ${expected}`,
  snapshot_version: ({ stream, expected, found }) =>
    `the snapshot of ${stream} has version ${found}, this program reads ${expected}`,
  snapshot_incomplete: ({ stream, reason }) => `the snapshot of ${stream} is incomplete: ${reason}`,
  snapshot_row_count: ({ stream, row, expected, found }) =>
    `the snapshot of ${stream} holds ${found} rows "${row}", its header says ${expected}`,
}

/** Raised by the durable state that rooms are made of. The message is derived from `data`. */
export class StateError<Code extends StateErrorCode = StateErrorCode> extends StatewardError<
  Code,
  StateErrorData[Code]
> {
  override readonly name = 'StateError'

  constructor(code: Code, data: StateErrorData[Code], options?: ErrorOptions) {
    super(code, messages[code](data), data, options)
  }
}
