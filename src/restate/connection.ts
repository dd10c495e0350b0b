import { randomUUID } from 'node:crypto'
import type * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import type { Sequenced } from '../base/feed.js'
import { pause, type RestateAttach, type Attach } from './attach.js'
import { wasHeld, type RestateIngress } from './ingress.js'
import type { FeedRows } from './object-feed.js'
import { waitService, type FeedService } from './services.js'
import type { OperationAnswer } from './session-wire.js'

/** What the parts of a connection share. */
export interface Connection {
  readonly ingress: RestateIngress
  readonly attach: RestateAttach
  /** Waits for operations. */
  readonly operationAttach: Attach<OperationAnswer>
  readonly clock: Clock
  /** Milliseconds for which an unreachable engine is retried. */
  readonly outageMs: number
}

/** A signal that is never aborted. */
export const neverAborted: AbortSignal = new AbortController().signal

/**
 * Repeats a call until the engine answers. A broken connection says nothing about the call, so the call must be
 * idempotent. Rejects with a refusal, with `restate.unreachable` or `restate.call_failed` once the engine was
 * unreachable for long enough, and with the signal's reason.
 */
export async function insist<Answered>(
  { clock, outageMs }: Pick<Connection, 'clock' | 'outageMs'>,
  signal: AbortSignal,
  ask: () => Promise<Answered>,
): Promise<Answered> {
  let brokenSinceMs: number | undefined
  for (;;) {
    const askedMs = clock.monotonicNow()
    try {
      return await ask()
    } catch (thrown) {
      const isPassing =
        StatewardError.is(thrown, 'restate.unreachable') || StatewardError.is(thrown, 'restate.call_failed')
      if (!isPassing) throw thrown
      const now = clock.monotonicNow()
      // A connection that was silent for minutes dies of that; only what fails at once again is an outage.
      if (wasHeld(thrown, now - askedMs)) brokenSinceMs = undefined
      brokenSinceMs ??= now
      if (now - brokenSinceMs >= outageMs) throw thrown
      await pause(clock, 100, signal)
    }
  }
}

/** A feed and how to read its rows. */
export interface FollowedFeed<Entry extends Sequenced> {
  readonly service: FeedService
  readonly key: string
  readonly page: v.GenericSchema<unknown, FeedRows<Entry>>
}

/** Yields parts of a feed after a position, as soon as they exist, across outages shorter than `outageMs`. */
export async function* followFeed<Entry extends Sequenced>(
  connection: Connection,
  { service, key, page }: FollowedFeed<Entry>,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<FeedRows<Entry> & { readonly after: number }, void, void> {
  const follower = randomUUID()
  for (let place = after; ; ) {
    const request = { service, key, after: place, limit: 100 }
    // Asked again after an outage, it is the same question.
    const idempotencyKey = `${follower}/${place}`
    const read = await insist(connection, signal, () =>
      connection.ingress.call([waitService, 'next'], request, page, { signal, idempotencyKey }),
    )
    yield { ...read, after: place }
    place = read.entries.at(-1)?.seq ?? place
  }
}
