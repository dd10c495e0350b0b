import { createHash, randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import {
  ProcessError,
  type AwaitOutput,
  type LeaseOwner,
  type LivenessCheck,
  type ProcessDefinition,
  type ProcessId,
} from '../processes/index.js'
import { failedOf } from '../processes/process-failed.js'
import { checkSize } from '../processes/scalars.js'
import { checkValue, decodeValue, encodeValue } from '../work/values.js'
import type { AttachBounds } from './attach.js'
import { followFeed, neverAborted, type Connection } from './connection.js'
import type { IngressCall } from './ingress.js'
import type { RestateProcess } from './process-picture.js'
import { RestateProcessStore } from './process-store.js'
import { processesService } from './services.js'
import { startRequestOf } from './start.js'
import {
  claimedSchema,
  cursorsSchema,
  pageSchema,
  settledSchema,
  settleSchema,
  takePathId,
  type Claim,
  type FeedPage,
  type ProcessEnd,
  type SettleRequest,
  type Settled,
} from './wire.js'

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

/** How a feed is followed. */
export interface FollowFeedOptions {
  /** The last place that is known; default 0, from the beginning. */
  readonly after?: number
  /** Ends the loop with its reason. */
  readonly signal?: AbortSignal
}

const nothing = v.unknown()

/**
 * The processes of one owner on the engine, a session for instance: what was started for it, and in which order that came to
 * its end. Every call rejects with `restate.unreachable` and `restate.call_failed`, with `invalid_input`, and with what its
 * rule refuses.
 */
export class RestateProcesses {
  readonly id: string
  readonly #connection: Connection

  constructor(id: string, connection: Connection) {
    this.id = takePathId(id, 'name of an owner')
    this.#connection = connection
  }

  /**
   * Starts a process of a definition, once: again under the same id it finds what is there. Ids are unique on the engine, not
   * only below their owner. Rejects with `process.registration_conflict` for another process of the id.
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

  /** What is known of a process; `undefined` when there is none of this id. */
  read(id: ProcessId): Promise<RestateProcess | undefined> {
    return this.#row(id)
  }

  /**
   * What a process has come to, or comes to: of one that has ended for as long as its row is there, whoever has
   * started it. Rejects like a wait does, and with `process.unknown` at once when there is none of this id.
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
    const atMs = Math.trunc(this.#connection.clock.wallNow())
    return this.#call('claim', { id, owner, step, atMs, isOutside: true }, claimedSchema)
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
    // The engine knows keys of the owner, and takes only what fits in a header.
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
  async *follow({ after = 0, signal = neverAborted }: FollowFeedOptions = {}): AsyncGenerator<ProcessEnd, void, void> {
    const feed = { service: processesService, key: this.id, page: pageSchema } as const
    for await (const { entries } of followFeed(this.#connection, feed, after, signal)) yield* entries
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

  /**
   * The same processes as a store of processes, for whatever takes one. `isHolderDead` says what is known of the holders of
   * leases; default nothing.
   */
  store({ isHolderDead }: { readonly isHolderDead?: LivenessCheck } = {}): RestateProcessStore {
    return new RestateProcessStore(this.id, this.#connection.ingress, isHolderDead)
  }

  async #row(id: ProcessId, signal?: AbortSignal): Promise<RestateProcess | undefined> {
    const row = await this.#call('read', id, nothing, { ...(signal !== undefined && { signal }) })
    return (row ?? undefined) as RestateProcess | undefined
  }

  #call<Answered>(
    handler: string,
    request: unknown,
    schema: v.GenericSchema<unknown, Answered>,
    options?: IngressCall,
  ): Promise<Answered> {
    return this.#connection.ingress.call([processesService, this.id, handler], request, schema, options)
  }
}
