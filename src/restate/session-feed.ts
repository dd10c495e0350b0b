import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { FeedGapError, type FeedBatch, type FeedGap, type FeedReadOptions } from '../base/feed.js'
import { abortableSchema, optionsSchema, signalSchema, wholeNumberSchema } from '../base/options.js'
import type { CompletionEntry } from '../operations/index.js'
import { followFeed, insist, neverAborted, type Connection } from './connection.js'
import { sessionService } from './services.js'
import { completionPageSchema } from './session-wire.js'

const readSchema = optionsSchema<FeedReadOptions>({
  after: v.optional(wholeNumberSchema(0)),
  signal: v.optional(signalSchema),
})
const followed = { service: sessionService, page: completionPageSchema } as const

/**
 * The completions of a session on the engine: rows numbered from 1 without gaps, of which at least the last 1,024 are
 * kept by default. It corresponds to the feed within a single Node process, but its reads return promises.
 */
export class RestateFeed {
  readonly #key: string
  readonly #connection: Connection

  constructor(key: string, connection: Connection) {
    this.#key = key
    this.#connection = connection
  }

  /** The sequence of the last row. 0 if there is none. */
  async watermark(): Promise<number> {
    return (await this.since(0, 1)).watermark
  }

  /** At most `limit` rows with `seq > cursor`, ascending. Default 100. */
  since(cursor: number, limit = 100): Promise<FeedBatch<CompletionEntry>> {
    return this.#page(cursor, limit, neverAborted)
  }

  /** The gap that a consumer at `cursor` would face, if any. A cursor beyond the watermark counts as a gap. */
  async gapAfter(cursor: number): Promise<FeedGap | undefined> {
    return gapOf(cursor, await this.since(cursor, 1))
  }

  /**
   * Resolves with the watermark once it exceeds `cursor`, immediately if it already does. Rejects with the signal's
   * reason.
   */
  async waitForAdvance(cursor: number, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    const { signal = neverAborted } = decode(abortableSchema, options, 'wait options')
    // A question that was given up may have been answered since: what it says is of then.
    const stood = await this.#page(cursor, 1, signal)
    if (stood.watermark > cursor) return stood.watermark
    for await (const { watermark } of this.#follow(cursor, signal)) if (watermark > cursor) return watermark
    return cursor
  }

  /**
   * Every row after `after`, then every new one, across outages of workers and engine. Throws `feed_gap` instead of
   * skipping rows.
   */
  async *entries(options: FeedReadOptions = {}): AsyncGenerator<CompletionEntry, void, void> {
    const { after = 0, signal = neverAborted } = decode(readSchema, options, 'feed options')
    const gap = gapOf(after, await this.#page(after, 1, signal))
    if (gap !== undefined) throw new FeedGapError(gap)
    for await (const { entries, after: place, ...stood } of this.#follow(after, signal)) {
      // What was dropped while nobody looked is told, not skipped.
      const missed = gapOf(place, stood)
      if (missed !== undefined) throw new FeedGapError(missed)
      yield* entries
    }
  }

  #page(after: number, limit: number, signal: AbortSignal): Promise<FeedBatch<CompletionEntry>> {
    const path = [sessionService, this.#key, 'since'] as const
    return insist(this.#connection, signal, () =>
      this.#connection.ingress.call(path, { after, limit }, completionPageSchema, { signal }),
    )
  }

  #follow(after: number, signal: AbortSignal) {
    return followFeed<CompletionEntry>(this.#connection, { ...followed, key: this.#key }, after, signal)
  }
}

function gapOf(
  requestedAfterSeq: number,
  { watermark, droppedThrough }: Pick<FeedBatch<never>, 'watermark' | 'droppedThrough'>,
): FeedGap | undefined {
  if (requestedAfterSeq >= droppedThrough && requestedAfterSeq <= watermark) return undefined
  return { requestedAfterSeq, droppedThrough, watermark }
}
