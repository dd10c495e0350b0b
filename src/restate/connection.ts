import type * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import { StatewardError } from '../base/errors.js'
import type { Sequenced } from '../base/feed.js'
import type { RestateError } from './errors.js'
import { pause, type RestateAttach, type Attach } from './attach.js'
import { wasHeld, type RestateIngress } from './ingress.js'
import type { FeedRows } from './object-feed.js'
import type { Questions } from './questions.js'
import { waitService, type FeedService } from './services.js'
import type { OperationAnswer } from './session-wire.js'

/** What the parts of a connection share. */
export interface Connection {
  readonly ingress: RestateIngress
  readonly attach: RestateAttach
  /** Waits for operations. */
  readonly operationAttach: Attach<OperationAnswer>
  readonly questions: Questions
  readonly clock: Clock
  /** Milliseconds for which an unreachable engine is retried. */
  readonly outageMs: number
}

/** A signal that is never aborted. */
export const neverAborted: AbortSignal = new AbortController().signal

/**
 * Repeats a call until the engine answers. A broken connection says nothing about the call, so the call must be
 * idempotent. Rejects with a refusal, with `restate.unreachable` or `restate.call_failed` once the engine was
 * unreachable for long enough, immediately for an answer that no waiting changes, such as that of another server, and
 * with the signal's reason.
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
      if (!isPassing(thrown)) throw thrown
      const now = clock.monotonicNow()
      // A connection that was silent for minutes dies of that; only what fails at once again is an outage.
      if (wasHeld(thrown, now - askedMs)) brokenSinceMs = undefined
      brokenSinceMs ??= now
      if (now - brokenSinceMs >= outageMs) throw thrown
      await pause(clock, 100, signal)
    }
  }
}

/** Statuses of an engine that is starting or does not know its workers yet. Any other answer is final. */
const passingStatuses: ReadonlySet<number> = new Set([404, 408, 429])

function isPassing(thrown: unknown): boolean {
  if (StatewardError.is(thrown, 'restate.unreachable')) return true
  if (!StatewardError.is(thrown, 'restate.call_failed')) return false
  const { status } = (thrown as RestateError<'restate.call_failed'>).data
  return status >= 500 || passingStatuses.has(status)
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
  for (let place = after; ; ) {
    const request = { service, key, after: place, limit: 100 }
    const read = await connection.questions.ask(request, signal, (idempotencyKey) =>
      insist(connection, signal, () =>
        connection.ingress.call([waitService, 'next'], request, page, { signal, idempotencyKey }),
      ),
    )
    yield { ...read, after: place }
    place = read.entries.at(-1)?.seq ?? place
  }
}
