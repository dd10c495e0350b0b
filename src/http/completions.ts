import { InvalidInputError, StatewardError } from '../base/errors.js'
import { FeedGapError, type Feed, type FeedGap, type Sequenced } from '../base/feed.js'
import type { HttpCall, HttpEvent, HttpReply } from './route.js'

/** A feed that clients follow. */
export interface FollowedFeed<Row extends Sequenced> {
  readonly feed: Feed<Row>
  /**
   * The epoch of the sequence numbers: a cursor of another epoch is refused. A feed without an epoch is identified by
   * its numbers alone.
   */
  readonly epochId?: string
}

/**
 * Replies with the rows of a feed after the client's cursor, then with new ones, until the client disconnects or the
 * feed closes. The `id` of each event is the cursor to reconnect with.
 *
 * If a client is so slow, or reconnects so late, that rows it has not seen are no longer kept, it receives an event
 * `gap` and the stream ends: no row is left out silently. Reconnecting with the same cursor is answered with 410 and
 * the same event, so that an `EventSource` does not reconnect forever.
 */
export function followFeed<Row extends Sequenced>(call: HttpCall, followed: FollowedFeed<Row>): HttpReply {
  // A browser reconnects with the original URL, so `Last-Event-ID` overrides the query.
  const after = readCursor(call.header('last-event-id') ?? call.query.get('after') ?? '', followed)
  const gap = followed.feed.gapAfter(after)
  if (gap !== undefined) return { status: 410, events: onlyGap(gap) }
  return { status: 200, events: eventsAfter(followed, after, call.signal) }
}

/**
 * Reads a cursor: `<sequence>@<epoch>` as it was sent, or a bare sequence; an empty text means 0. Raises
 * `invalid_input` for any other text, and `cursor_unknown` if this feed cannot have issued the cursor: the feed has
 * then been recreated, and resuming in the middle of it would leave out rows.
 */
function readCursor<Row extends Sequenced>(text: string, { feed, epochId }: FollowedFeed<Row>): number {
  if (text === '') return 0
  const [, digits, epoch] = /^(\d{1,15})(?:@([0-9a-f-]{36}))?$/.exec(text) ?? []
  if (digits === undefined) {
    throw new InvalidInputError({ subject: 'cursor', field: '$', reason: 'not <sequence> or <sequence>@<epoch>' })
  }
  const after = Number(digits)
  const watermark = feed.watermark()
  if ((epoch !== undefined && epoch !== epochId) || after > watermark) {
    const reason = 'the cursor is not of this feed as it is now: start from 0'
    throw new StatewardError('cursor_unknown', reason, {
      cursor: text,
      ...(epochId !== undefined && { epochId }),
      watermark,
    })
  }
  return after
}

async function* eventsAfter<Row extends Sequenced>(
  { feed, epochId }: FollowedFeed<Row>,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<HttpEvent> {
  const suffix = epochId === undefined ? '' : `@${epochId}`
  try {
    for await (const row of feed.entries({ after, signal })) {
      yield { id: `${row.seq}${suffix}`, event: 'completion', data: row }
    }
  } catch (error) {
    if (!(error instanceof FeedGapError)) throw error
    yield gapEvent(error.data)
  }
}

async function* onlyGap(gap: FeedGap): AsyncGenerator<HttpEvent> {
  yield gapEvent(gap)
}

function gapEvent(gap: FeedGap): HttpEvent {
  return { event: 'gap', data: { code: 'feed_gap', ...gap } }
}
