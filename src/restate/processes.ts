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

/** A handle on a process on the engine, for its starter. */
export interface RestateHandle<Output> {
  readonly id: ProcessId
  /** Identifies its run on the engine. */
  readonly invocationId: string
  /**
   * Resolves with the result. Rejects with `process.failed`, `process.cancelled`, `process.abandoned`, and with the
   * errors of a wait.
   */
  result(bounds?: AttachBounds): Promise<Output>
  /** Resolves with how the process ended. Rejects with the errors of a wait. */
  output(bounds?: AttachBounds): Promise<AwaitOutput>
}

/** Options of following a feed. */
export interface FollowFeedOptions {
  /** Start after this position. Default 0, the beginning. */
  readonly after?: number
  /** Ends the loop with its reason. */
  readonly signal?: AbortSignal
}

const nothing = v.unknown()

/**
 * The processes of one owner on the engine, for instance of a session: what was started for it, and the order in which
 * it ended. Every call rejects with `restate.unreachable` and `restate.call_failed`, with `invalid_input`, and with
 * refusals by their own codes.
 */
export class RestateProcesses {
  readonly id: string
  readonly #connection: Connection

  constructor(id: string, connection: Connection) {
    this.id = takePathId(id, 'name of an owner')
    this.#connection = connection
  }

  /**
   * Starts a process of a definition, once: repeating it under the same id finds the existing process. Ids are unique
   * on the whole engine, not per owner. Rejects with `process.registration_conflict` if the id belongs to a different
   * process.
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

  /** The state of a process. `undefined` if there is none with this id. */
  read(id: ProcessId): Promise<RestateProcess | undefined> {
    return this.#row(id)
  }

  /**
   * Resolves with how a process ended, now or later, whoever started it. An ended process can be read as long as its
   * row is kept. Rejects with the errors of a wait, and with `process.unknown` immediately if there is no process with
   * this id.
   */
  async output(id: ProcessId, bounds: AttachBounds = {}): Promise<AwaitOutput> {
    const row = await this.#row(id, bounds.signal)
    if (row === undefined) throw new ProcessError('process.unknown', { processId: id })
    return row.end?.output ?? this.#connection.attach.awaitTerminal(id, { ...bounds, isStarted: true })
  }

  /**
   * Claims a process for work outside the engine. From then on, writes under a lower fencing token are refused. This
   * includes the end of its run, which then waits for the claimant.
   */
  claim(id: ProcessId, owner: LeaseOwner, step: string): Promise<Claim> {
    const atMs = Math.trunc(this.#connection.clock.wallNow())
    return this.#call('claim', { id, owner, step, atMs, isOutside: true }, claimedSchema)
  }

  /**
   * Reports progress under the fencing token of a claim. Rejects with `process.lease_superseded` if a newer claim
   * exists.
   */
  async progress(id: ProcessId, fencingToken: number, message?: string): Promise<void> {
    await this.#call('progress', { id, fencingToken, ...(message !== undefined && { message }) }, nothing)
  }

  /**
   * Ends a process and tells its code to stop. If it has already ended, the result says so and nothing changes. Rejects
   * with `process.lease_superseded`.
   */
  async settle(request: SettleRequest): Promise<Settled> {
    const { output } = decode(settleSchema, request, 'end')
    if (output.type === 'success') checkSize(output.value, 'end', 'output.value')
    return this.#call('settle', request, settledSchema)
  }

  /** Cancels a process. When this resolves, the end is in the feed and its code is told to stop. */
  cancel(id: ProcessId, message?: string): Promise<Settled> {
    return this.#call('cancel', { id, ...(message !== undefined && { message }) }, settledSchema)
  }

  /**
   * Sends a signal to a process, which waits for it now or later. Under the same `key`, for the same process and name,
   * a repetition is the same signal for as long as the engine remembers keys: one day.
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

  /** At most `limit` ends after a position of the feed. Default 100. */
  since(after: number, limit = 100): Promise<FeedPage> {
    return this.#call('since', { after, limit }, pageSchema)
  }

  /** Follows the feed: every end once, in order, across outages of workers and engine shorter than `outageMs`. */
  async *follow({ after = 0, signal = neverAborted }: FollowFeedOptions = {}): AsyncGenerator<ProcessEnd, void, void> {
    const feed = { service: processesService, key: this.id, page: pageSchema } as const
    for await (const { entries } of followFeed(this.#connection, feed, after, signal)) yield* entries
  }

  /**
   * Deletes ends up to a position of the feed together with their processes, at most 1,000 at a time, and none that a
   * consumer with a cursor has not passed. Resolves with the last deleted position. The ids must not be used again.
   */
  forget(through: number): Promise<number> {
    return this.#call('forget', { through }, v.number())
  }

  /** The cursor of each consumer of the feed. */
  cursors(): Promise<Readonly<Record<string, number>>> {
    return this.#call('cursors', undefined, cursorsSchema)
  }

  /** Moves a consumer forward, never back and never beyond the feed. Resolves with its cursor. */
  advanceCursor(consumer: string, cursor: number): Promise<number> {
    return this.#call('advanceCursor', { consumer, cursor }, v.number())
  }

  /**
   * The same processes as a process store. `isHolderDead` tells which lease holders are known to be dead. By default,
   * none is.
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
