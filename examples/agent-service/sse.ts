import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import {
  InvalidInputError,
  StatewardError,
  type Clock,
  type CompletionEntry,
  type FeedGap,
  type Session,
} from 'stateward'
import { clientJson } from './client-json.js'

/** How a stream of completions is served. */
export interface StreamOptions {
  /** Last completion that the client has seen, 0 for none. */
  readonly after: number
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal
  readonly clock: Clock
  /** Milliseconds of silence after which a comment shows that the stream is alive. */
  readonly heartbeatMs: number
}

/**
 * Streams the completions of a session as Server-Sent Events, oldest first, then live ones, until the
 * client goes or the session closes. The `id` of each event is the cursor to come back with.
 *
 * A client that is so slow, or comes back so late, that completions it has not seen are gone is told by an
 * event `gap`, and the stream ends: nothing is left out in silence. Asking again with the same cursor is
 * answered 410 with the same event, so an `EventSource` does not ask for ever.
 */
export async function streamCompletions(
  session: Session,
  response: ServerResponse,
  { after, signal, clock, heartbeatMs }: StreamOptions,
): Promise<void> {
  const { feed, epochId } = session
  const gap = feed.gapAfter(after)
  response.writeHead(gap === undefined ? 200 : 410, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // Nothing follows a stream on its connection, so that a server that closes need not wait for more.
    connection: 'close',
  })
  if (gap !== undefined) {
    response.end(gapFrame(gap))
    return
  }
  response.flushHeaders()
  const heartbeat = new Heartbeat(clock, heartbeatMs, () => {
    if (!response.writableNeedDrain) response.write(': still here\n\n')
  })
  try {
    for await (const entry of feed.entries({ after, signal })) {
      heartbeat.stop()
      const hasRoom = response.write(completionFrame(entry, epochId))
      // The client reads slower than work completes: wait for it instead of piling up what it has not read.
      if (!hasRoom) await once(response, 'drain', { signal })
      heartbeat.start()
    }
    response.end()
  } catch (error) {
    if (signal.aborted) return
    if (!StatewardError.is(error, 'feed_gap')) throw error
    response.end(gapFrame(error.data as FeedGap))
  } finally {
    heartbeat.stop()
  }
}

/**
 * Reads the cursor of a client: `<sequence>@<epoch>` as it was sent, or a bare sequence. Nothing means 0.
 * Throws `invalid_input` when it is neither, and `cursor_unknown` when it cannot be of this session: then the
 * session was made anew since, and resuming in the middle of it would leave completions out.
 */
export function readCursor(text: string | undefined, session: Session): number {
  if (text === undefined || text === '') return 0
  const [, digits, epoch] = /^(\d{1,15})(?:@([0-9a-f-]{36}))?$/.exec(text) ?? []
  if (digits === undefined) {
    throw new InvalidInputError({ subject: 'cursor', field: '$', reason: 'not <sequence> or <sequence>@<epoch>' })
  }
  const after = Number(digits)
  const { epochId } = session
  const watermark = session.feed.watermark()
  if ((epoch !== undefined && epoch !== epochId) || after > watermark) {
    const reason = 'the cursor is not of this session as it is now: start from 0'
    throw new StatewardError('cursor_unknown', reason, { cursor: text, epochId, watermark })
  }
  return after
}

function completionFrame(entry: CompletionEntry, epochId: string): string {
  return `id: ${entry.seq}@${epochId}\nevent: completion\ndata: ${clientJson(entry)}\n\n`
}

function gapFrame(gap: FeedGap): string {
  return `event: gap\ndata: ${JSON.stringify({ code: 'feed_gap', ...gap })}\n\n`
}

/** Does something again and again while it runs. */
class Heartbeat {
  readonly #clock: Clock
  readonly #ms: number
  readonly #beat: () => void
  #timeout: unknown

  constructor(clock: Clock, ms: number, beat: () => void) {
    this.#clock = clock
    this.#ms = ms
    this.#beat = beat
    this.start()
  }

  start(): void {
    this.#timeout = this.#clock.setTimeout(() => {
      this.#beat()
      this.start()
    }, this.#ms)
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timeout)
  }
}
