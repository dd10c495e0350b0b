import { InvalidInputError, StatewardError } from '../base/errors.js'
import { FeedGapError, type Feed, type FeedGap, type Sequenced } from '../base/feed.js'
import type { HttpCall, HttpEvent, HttpReply } from './route.js'

/** A feed, as clients follow it. */
export interface FollowedFeed<Row extends Sequenced> {
  readonly feed: Feed<Row>
  /** What the numbers belong to: a cursor of another epoch is refused. Feeds that have none are known by their numbers alone. */
  readonly epochId?: string
}

/**
 * Answers with the rows of a feed after the cursor of the client, then with live ones, until the client goes or the feed closes. The
 * `id` of each event is the cursor to come back with.
 *
 * A client that is so slow, or comes back so late, that rows it has not seen are gone is told by an event `gap`, and the stream
 * ends: nothing is left out in silence. Asking again with the same cursor is answered 410 with the same event, so that an
 * `EventSource` does not ask for ever.
 */
export function followFeed<Row extends Sequenced>(call: HttpCall, followed: FollowedFeed<Row>): HttpReply {
  // A browser that reconnects repeats the address, so what it has seen since counts more.
  const after = readCursor(call.header('last-event-id') ?? call.query.get('after') ?? '', followed)
  const gap = followed.feed.gapAfter(after)
  if (gap !== undefined) return { status: 410, events: onlyGap(gap) }
  return { status: 200, events: eventsAfter(followed, after, call.signal) }
}

/**
 * Reads a cursor: `<sequence>@<epoch>` as it was sent, or a bare sequence. Nothing means 0. Raises `invalid_input` when it is
 * neither, and `cursor_unknown` when this feed cannot have given it: then the feed was made anew since, and resuming in the
 * middle of it would leave rows out.
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
