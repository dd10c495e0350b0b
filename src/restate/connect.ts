import { createHash, randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { systemClock, type Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { StatewardError } from '../base/errors.js'
import { durationSchema, optionsSchema } from '../base/options.js'
import {
  ProcessError,
  type AwaitOutput,
  type LeaseOwner,
  type ProcessDefinition,
  type ProcessId,
} from '../processes/index.js'
import { failedOf } from '../processes/process-failed.js'
import { checkSize } from '../processes/scalars.js'
import { checkValue, decodeValue, encodeValue } from '../work/values.js'
import { RestateAdmin, type RestateFault } from './admin.js'
import { pause, RestateAttach, type AttachBounds } from './attach.js'
import { feedService } from './feed.js'
import { RestateIngress, wasHeld, type IngressCall } from './ingress.js'
import { sessionService, statusOf, type SessionRow } from './session.js'
import { startRequestOf } from './start.js'
import {
  addressSchema,
  claimedSchema,
  cursorsSchema,
  pageSchema,
  settledSchema,
  settleSchema,
  takePathId,
  type Claim,
  type FeedPage,
  type SessionEnd,
  type SettleRequest,
  type Settled,
} from './wire.js'

/** How the engine is reached. */
export interface ConnectRestateOptions {
  /** Where it takes calls, such as `http://127.0.0.1:8080`. */
  readonly ingress: string
  /** Where it is administered, such as `http://127.0.0.1:9070`; without it nobody hears that a process is paused. */
  readonly admin?: string
  /** Milliseconds after which a silent wait asks anew; default 280,000, because after 300 seconds the connection dies. */
  readonly attachCeilingMs?: number
  /** Milliseconds for which waits try again to reach an engine that is away; default 30,000. */
  readonly outageMs?: number
  /** Milliseconds for which a wait for a process that the engine does not know asks again; default 2000. */
  readonly startGraceMs?: number
  /** Milliseconds between two looks of a wait for whether its process is paused; default 5000. */
  readonly faultCheckMs?: number
}

const connectSchema = optionsSchema<ConnectRestateOptions>({
  ingress: addressSchema,
  admin: v.optional(addressSchema),
  attachCeilingMs: v.optional(durationSchema),
  outageMs: v.optional(durationSchema),
  startGraceMs: v.optional(durationSchema),
  faultCheckMs: v.optional(durationSchema),
})

/** A process on the engine, for who has started it. */
export interface RestateHandle<Output> {
  readonly id: ProcessId
  /** By this the engine knows it. */
  readonly invocationId: string
  /** Its result; rejects with `process.failed`, `process.cancelled`, `process.abandoned`, and like a wait does. */
  result(bounds?: AttachBounds): Promise<Output>
  /** What it has come to, however it ended; rejects like a wait does. */
  output(bounds?: AttachBounds): Promise<AwaitOutput>
}

/** What is known of one process of a session. */
export interface RestateProcess extends Pick<SessionRow, 'id' | 'kind' | 'fencingToken' | 'progressCount' | 'end'> {
  readonly status: ReturnType<typeof statusOf>
  readonly progress?: string
}

/** How a feed is followed. */
export interface FollowFeedOptions {
  /** The last place that is known; default 0, from the beginning. */
  readonly after?: number
  /** Ends the loop with its reason. */
  readonly signal?: AbortSignal
}

/** What the parts of a connection share. */
interface Connection {
  readonly ingress: RestateIngress
  readonly attach: RestateAttach
  readonly clock: Clock
  readonly outageMs: number
}

const nothing = v.unknown()

/**
 * A session on the engine: what was started in it, and in which order that came to its end. Every call rejects with
 * `restate.unreachable` and `restate.call_failed`, with `invalid_input`, and with what its rule refuses.
 */
export class RestateSession {
  readonly id: string
  readonly #connection: Connection

  constructor(id: string, connection: Connection) {
    this.id = takePathId(id, 'id of a session')
    this.#connection = connection
  }

  /**
   * Starts a process of a definition, once: again under the same id it finds what is there. Ids are unique on the engine, not
   * only in the session. Rejects with `process.registration_conflict` for another process of the id.
   */
  async start<Input, Output>(
    definition: ProcessDefinition<Input, Output, never, never> | ProcessDefinition<Input, Output>,
    input: Input,
    { id = randomUUID() }: { readonly id?: ProcessId } = {},
  ): Promise<RestateHandle<Output>> {
    const taken = takePathId(id)
    const subject = `input of ${definition.kind}`
    if (definition.input !== undefined) await checkValue(definition.input, input, subject)
    const request = startRequestOf(definition, taken, encodeValue(input, subject))
    const { invocationId } = await this.#call('start', request, v.object({ invocationId: v.string() }))
    const { attach } = this.#connection
    const outputOf = (bounds: AttachBounds = {}): Promise<AwaitOutput> =>
      attach.awaitTerminal(taken, { ...bounds, isStarted: true })
    return {
      id: taken,
      invocationId,
      output: outputOf,
      result: async (bounds) => {
        const output = await outputOf(bounds)
        if (output.type !== 'success') throw failedOf(taken, output)
        const value = decodeValue(output.value)
        return (
          definition.output === undefined
            ? value
            : await checkValue(definition.output, value, `output of ${definition.kind}`)
        ) as Output
      },
    }
  }

  /** What is known of a process; `undefined` when the session has none of this id. */
  async read(id: ProcessId): Promise<RestateProcess | undefined> {
    const row = await this.#row(id)
    if (row === undefined) return undefined
    const { kind, fencingToken, progressCount, progress, end } = row
    return {
      id: row.id,
      kind,
      status: statusOf(row),
      fencingToken,
      progressCount,
      ...(progress !== undefined && { progress }),
      ...(end !== undefined && { end }),
    }
  }

  /**
   * What a process of the session has come to, or comes to: of one that has ended for as long as its row is there, whoever has
   * started it. Rejects like a wait does, and with `process.unknown` at once when the session has none of this id.
   */
  async output(id: ProcessId, bounds: AttachBounds = {}): Promise<AwaitOutput> {
    const row = await this.#row(id, bounds.signal)
    if (row === undefined) throw new ProcessError('process.unknown', { processId: id })
    return row.end?.output ?? this.#connection.attach.awaitTerminal(id, { ...bounds, isStarted: true })
  }

  /**
   * Gives a process to somebody who does its work outside; of a lower token nothing more is taken, the end of its run
   * included, which then waits for who has claimed it.
   */
  claim(id: ProcessId, owner: LeaseOwner, step: string): Promise<Claim> {
    return this.#call('claim', { id, owner, step, isOutside: true }, claimedSchema)
  }

  /** Reports progress under the fencing token of a claim. Rejects with `process.lease_superseded` for a late one. */
  async progress(id: ProcessId, fencingToken: number, message?: string): Promise<void> {
    await this.#call('progress', { id, fencingToken, ...(message !== undefined && { message }) }, nothing)
  }

  /**
   * Ends a process, and its code is told to stop; one that has ended stays as it is, and says so. Rejects with
   * `process.lease_superseded`.
   */
  async settle(request: SettleRequest): Promise<Settled> {
    const { output } = decode(settleSchema, request, 'end')
    if (output.type === 'success') checkSize(output.value, 'end', 'output.value')
    return this.#call('settle', request, settledSchema)
  }

  /** Cancels a process: its end is in the feed when this resolves, and its code is told to stop. */
  cancel(id: ProcessId, message?: string): Promise<Settled> {
    return this.#call('cancel', { id, ...(message !== undefined && { message }) }, settledSchema)
  }

  /**
   * Sends a signal to a process, which waits for it now or later; again under the same `key`, for the same process and name, it
   * is the same signal for as long as the engine remembers keys: a day.
   */
  async signal(id: ProcessId, name: string, payload?: unknown, key: string = randomUUID()): Promise<void> {
    const encoded = encodeValue(payload, `signal ${name}`)
    if (encoded !== undefined) checkSize(encoded, `signal ${name}`, 'payload')
    const request = { id, name, ...(encoded !== undefined && { payload: encoded }) }
    // The engine knows keys of the session, and takes only what fits in a header.
    const idempotencyKey = createHash('sha256')
      .update(JSON.stringify([id, name, key]))
      .digest('hex')
    await this.#call('signal', request, nothing, { idempotencyKey })
  }

  /** The ends behind a place in the feed, at most `limit` of them, 100 unless told. */
  since(after: number, limit = 100): Promise<FeedPage> {
    return this.#call('since', { after, limit }, pageSchema)
  }

  /** Follows the feed: every end once, in order, over outages of workers and engine shorter than `outageMs`. */
  async *follow({ after = 0, signal = neverAborted }: FollowFeedOptions = {}): AsyncGenerator<SessionEnd, void, void> {
    const { ingress, clock, outageMs } = this.#connection
    const follower = randomUUID()
    let place = after
    let brokenSinceMs: number | undefined
    for (;;) {
      const request = { session: this.id, after: place, limit: 100 }
      const askedMs = clock.monotonicNow()
      let page: FeedPage
      try {
        // Asked again after an outage, it is the same question.
        const idempotencyKey = `${follower}/${place}`
        page = await ingress.call([feedService, 'next'], request, pageSchema, { signal, idempotencyKey })
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
        continue
      }
      brokenSinceMs = undefined
      for (const entry of page.entries) {
        place = entry.seq
        yield entry
      }
    }
  }

  /**
   * Forgets ends up to a place of the feed, and their processes with them; at most 1000 at a time, and none that a consumer with
   * a cursor has not passed. Resolves with the place up to which all is forgotten. The ids must not be used again.
   */
  forget(through: number): Promise<number> {
    return this.#call('forget', { through }, v.number())
  }

  /** Where each consumer of the feed stands. */
  cursors(): Promise<Readonly<Record<string, number>>> {
    return this.#call('cursors', undefined, cursorsSchema)
  }

  /** Moves a consumer forward, never back and never beyond the feed; resolves with where it stands. */
  advanceCursor(consumer: string, cursor: number): Promise<number> {
    return this.#call('advanceCursor', { consumer, cursor }, v.number())
  }

  async #row(id: ProcessId, signal?: AbortSignal): Promise<SessionRow | undefined> {
    const row = await this.#call('read', id, nothing, { ...(signal !== undefined && { signal }) })
    return (row ?? undefined) as SessionRow | undefined
  }

  #call<Answered>(
    handler: string,
    request: unknown,
    schema: v.GenericSchema<unknown, Answered>,
    options?: IngressCall,
  ): Promise<Answered> {
    return this.#connection.ingress.call([sessionService, this.id, handler], request, schema, options)
  }
}

/** A connection to a Restate server. */
export interface RestateConnection {
  session(id: string): RestateSession
  /** The wait for processes, which a work driver can be given. */
  readonly attach: RestateAttach
  /** Every process that is paused; nothing where `admin` is not told. */
  faults(): Promise<readonly RestateFault[]>
}

/**
 * Connects to a Restate server whose workers serve processes.
 *
 *     const restate = connectRestate({ ingress: 'http://127.0.0.1:8080', admin: 'http://127.0.0.1:9070' })
 *     const handle = await restate.session('s-1').start(report, { topic: 'cranes' })
 *     const text = await handle.result({ timeoutMs: 60_000 })
 *
 * Raises `invalid_input` naming the field.
 */
export function connectRestate(options: ConnectRestateOptions): RestateConnection {
  const taken = decode(connectSchema, options, 'options of connectRestate')
  const { attachCeilingMs = 280_000, outageMs = 30_000, startGraceMs = 2000, faultCheckMs = 5000 } = taken
  const clock = systemClock
  const ingress = new RestateIngress({ url: taken.ingress })
  const admin = taken.admin === undefined ? undefined : new RestateAdmin(taken.admin)
  const attach = new RestateAttach({
    ingress,
    clock,
    ceilingMs: attachCeilingMs,
    outageMs,
    startGraceMs,
    faultCheckMs,
    ...(admin !== undefined && { admin }),
  })
  const connection = { ingress, attach, clock, outageMs }
  return {
    attach,
    session: (id) => new RestateSession(id, connection),
    faults: async () => (admin === undefined ? [] : admin.faults()),
  }
}

const neverAborted = new AbortController().signal
