import type { JsonObject } from '../base/json.js'

/**
 * A decision that has been validated but is not visible yet.
 *
 * Its stream keeps it in an overlay that later decisions see. The lane then calls exactly one of `commit` (the facts
 * are durable) and `discard` (they are not).
 */
export interface Staged<Result> {
  /** Facts to journal as one atomic group. */
  readonly facts: readonly JsonObject[]
  /** Makes the decision visible. Must not throw: applying a durable fact never fails. */
  commit(): Result
  /** Removes the decision from the overlay. */
  discard(): void
  /** Notifies watchers, feeds and barriers. Runs right after `commit`. */
  publish?(): void
}

/** One independent history inside the shared journal, for instance one session of operations. */
export interface LaneStream {
  /** Unique and durable: replay finds the stream by this name. */
  readonly name: string
  /** Restores one snapshot row written by {@link LaneStream.capture}. */
  restore(row: JsonObject): void
  /**
   * Applies one durable fact at opening. A noted fact may be replayed onto a state that already contains it, and must
   * then change nothing.
   */
  replay(fact: JsonObject): void
  /** Rows that describe the committed state at this instant. They must not change afterwards. */
  capture(): Iterable<JsonObject>
}
