import type { JsonObject } from '../base/json.js'

/**
 * A decision that has been validated but is not visible yet.
 *
 * Its stream keeps it in an overlay that later decisions see; the lane then calls exactly one of
 * `commit` (the facts are durable) or `discard` (they are not).
 */
export interface Staged<Result> {
  /** Facts to journal as one atomic group. */
  readonly facts: readonly JsonObject[]
  /** Makes the decision visible. Must not throw: a durable fact never fails to apply. */
  commit(): Result
  /** Takes the decision out of the overlay. */
  discard(): void
  /** Tells watchers, feeds and barriers; runs right after `commit`. */
  publish?(): void
}

/**
 * A room's end of the lane: one independent history inside the shared journal, for instance one
 * session of operations.
 */
export interface LaneStream {
  /** Unique and durable: replay finds its stream by this name. */
  readonly name: string
  /** Takes one snapshot row written by {@link LaneStream.capture}. */
  restore(row: JsonObject): void
  /**
   * Applies one durable fact at opening. Noted facts may be replayed onto a state that already holds
   * them and must then change nothing.
   */
  replay(fact: JsonObject): void
  /** Rows that describe the committed state now; they must not change afterwards. */
  capture(): Iterable<JsonObject>
}
