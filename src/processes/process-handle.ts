import type { Observable } from 'rxjs'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { GuardedObservable } from '../base/guarded-observable.js'
import type { IdSource } from '../base/ids.js'
import type { JsonValue } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import type { LoopShare } from '../base/loop-share.js'
import { durationSchema, optionsSchema, signalSchema, wholeNumberSchema } from '../base/options.js'
import { abortable, silence } from '../base/promises.js'
import { checkValue, decodeValue, encodeValue, type InputOf, type Schema } from '../work/values.js'
import { unknownProcess } from './command.js'
import type { SchemaMap } from './definition.js'
import { ProcessError } from './errors.js'
import { cancelRequestedType } from './event-type.js'
import type { ProcessEvent } from './event.js'
import { cancelRequestKey, signalKey } from './keys.js'
import type { AwaitOutput, NoLongerRetained } from './output.js'
import { failedOf } from './process-failed.js'
import type { ProcessRecord } from './record.js'
import { ownOf } from './run-scope.js'
import { idSchema, nameSchema, takeId, textSchema, type ProcessId } from './scalars.js'
import type { WorkDriver } from './work-driver.js'
import type { Awaiter } from './awaiter.js'

/** Options of a wait for a process. */
export interface ProcessWaitOptions {
  /** Ends the wait with its reason. The process goes on. */
  readonly signal?: AbortSignal
  /** Milliseconds after which the wait rejects with `process.await_timeout`. The process goes on. */
  readonly timeoutMs?: number
}

/** Which events to follow. */
export interface ProcessEventsOptions {
  /** Start after this sequence. Default 0, the beginning. */
  readonly after?: number
  /** If true, includes the recorded steps of runs (`process.step`). */
  readonly steps?: boolean
  /** Ends the iteration with its reason. */
  readonly signal?: AbortSignal
}

/** Options of `signal`. */
export interface SignalOptions {
  /** Makes the signal idempotent: sending it again under the same id has no effect. Default: a new id for each call. */
  readonly id?: string
}

const waitSchema = optionsSchema<ProcessWaitOptions>({
  signal: v.optional(signalSchema),
  timeoutMs: v.optional(durationSchema),
})
const eventsSchema = optionsSchema<ProcessEventsOptions>({
  after: v.optional(wholeNumberSchema(0)),
  steps: v.optional(v.boolean()),
  signal: v.optional(signalSchema),
})
const signalOptionsSchema = optionsSchema<SignalOptions>({ id: v.optional(idSchema) })

/** What a handle needs from the room. */
export interface ProcessHandlePort {
  readonly driver: WorkDriver
  readonly awaiter: Awaiter
  readonly ids: IdSource
  readonly logger: Logger
  /** Limits how much of a turn callers may use by asking repeatedly. */
  readonly share: LoopShare
  /** Aborts with `runtime_closed` once the room is closed. */
  readonly over: AbortSignal
  /** Looks for work because there may be some now. */
  drive(reason: string, processId: ProcessId): void
}

/** What a handle knows from the definition. */
interface HandleOptions<Output, Signals extends SchemaMap> {
  readonly kind?: string
  readonly output?: Schema<unknown, Output>
  readonly signals?: Signals
}

/**
 * A process by its id: its result, its events, and ways to signal or cancel it. A handle holds no resources, so you may
 * drop it at any time. Every method rejects with `process.unknown` if no process is registered under the id, and with
 * `store.unavailable` if the store fails. Signals and requests to cancel reject with `runtime_closed` once the
 * runtime is closed.
 */
export class ProcessHandle<Output = unknown, Signals extends SchemaMap = SchemaMap> {
  readonly id: ProcessId
  readonly #definition: HandleOptions<Output, Signals>
  readonly #port: ProcessHandlePort

  /** @internal */
  constructor(id: ProcessId, definition: HandleOptions<Output, Signals>, port: ProcessHandlePort) {
    this.id = takeId(id)
    this.#definition = definition
    this.#port = port
  }

  /**
   * Resolves with what the run returned, once the process has ended. Rejects with {@link ProcessFailed} if it ended
   * without a result, with `process.await_timeout`, the signal's reason, `process.await_closed` if the runtime closes
   * first, and `invalid_input` if the result does not match the definition's schema.
   */
  result(options: ProcessWaitOptions = {}): Promise<Output> {
    return silence(this.#result(options))
  }

  /**
   * Resolves with how the process ended, without throwing for a failure. Otherwise rejects like
   * {@link ProcessHandle.result}.
   */
  async outcome(options: ProcessWaitOptions = {}): Promise<AwaitOutput | NoLongerRetained> {
    const { signal, timeoutMs } = decode(waitSchema, options, 'wait options')
    const bounds = { ...(signal !== undefined && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) }
    return this.#port.driver.awaitTerminal(this.id, bounds)
  }

  /** Iterates over existing and future events, each once and in order, up to and including the final one. */
  events(options: ProcessEventsOptions = {}): AsyncIterable<ProcessEvent> {
    const taken = decode(eventsSchema, options, 'events options')
    return { [Symbol.asyncIterator]: () => this.#follow(taken, taken.signal) }
  }

  /** The events as an RxJS stream. Each subscriber receives them from the start given in the options. */
  observe(options: ProcessEventsOptions = {}): Observable<ProcessEvent> {
    const taken = decode(eventsSchema, options, 'events options')
    return new GuardedObservable<ProcessEvent>(this.#port.logger, (subscriber) => {
      const left = new AbortController()
      const signal = taken.signal === undefined ? left.signal : AbortSignal.any([taken.signal, left.signal])
      const follow = async (): Promise<void> => {
        for await (const event of this.#follow(taken, signal)) subscriber.next(event)
        subscriber.complete()
      }
      follow().catch((failure: unknown) => subscriber.error(failure))
      return () => left.abort()
    })
  }

  /**
   * Sends a signal and resolves with its event once it is durable. Rejects with `process.event_undeclared` if the
   * process does not accept this signal, `process.already_terminal` if it has ended, `process.replay_conflict` if the
   * id was used with another payload, and `invalid_input` if the payload does not match the schema.
   */
  async signal<Name extends keyof Signals & string>(
    name: Name,
    payload: InputOf<Signals[Name]>,
    options: SignalOptions = {},
  ): Promise<ProcessEvent> {
    const { over, ids, driver } = this.#port
    over.throwIfAborted()
    const { id = ids.uuid() } = decode(signalOptionsSchema, options, 'signal options')
    const checkedName = decode(nameSchema, name, 'name of a signal')
    const eventType = `signal.${checkedName}`
    const { signals } = this.#definition
    const schema = signals && ownOf(signals, checkedName)
    if (signals !== undefined && schema === undefined)
      throw new ProcessError('process.event_undeclared', { processId: this.id, eventType })
    if (schema !== undefined) await abortable(checkValue(schema, payload, `signal ${checkedName}`), over)
    const request = {
      eventType,
      payload: encodeValue(payload, `signal ${checkedName}`) ?? null,
      replay: { key: signalKey(this.id, checkedName, id) },
    }
    const { event } = await driver.store.appendEvent(this.id, request)
    this.#port.drive('signal', this.id)
    return event
  }

  /**
   * Asks the process to end. Resolves once the request is durable. A run learns of it through its `signal`; a process
   * without a run ends without being run. Processes that it called go on.
   */
  async cancel(reason?: string): Promise<'requested' | 'already_ended'> {
    const { share, driver, over } = this.#port
    over.throwIfAborted()
    const text = decode(v.optional(textSchema), reason, 'reason')
    const { store } = driver
    if (share.isUsedUp) await share.turn()
    if ((await store.getTerminal(this.id)).state === 'ended') return 'already_ended'
    const payload: JsonValue = { reason: text ?? null }
    const replay = { key: cancelRequestKey(this.id, payload) }
    await store.appendEvent(this.id, { eventType: cancelRequestedType, payload, replay })
    this.#port.drive('cancel', this.id)
    return 'requested'
  }

  /** The current record: status, what it waits for, who started it, and its outcome. */
  async status(): Promise<ProcessRecord> {
    const { share, driver } = this.#port
    if (share.isUsedUp) await share.turn()
    const record = await driver.store.getProcess(this.id)
    if (record !== undefined) return record
    const terminal = await driver.store.getTerminal(this.id)
    throw unknownProcess(this.id, terminal.state === 'pruned' ? terminal : undefined)
  }

  async #result(options: ProcessWaitOptions): Promise<Output> {
    const output = await this.outcome(options)
    if (output.type !== 'success') throw failedOf(this.id, output)
    const value = decodeValue(output.value)
    const { output: schema, kind = 'process' } = this.#definition
    if (schema === undefined) return value as Output
    return (await abortable(checkValue(schema, value, `result of ${kind}`), this.#port.over)) as Output
  }

  async *#follow(
    { after = 0, steps = false }: ProcessEventsOptions,
    signal?: AbortSignal,
  ): AsyncGenerator<ProcessEvent> {
    const bounds = signal === undefined ? {} : { signal }
    for (let cursor = after; ; ) {
      const events = await this.#port.awaiter.awaitMore(this.id, cursor, bounds)
      if (events.length === 0) return
      for (const event of events) {
        cursor = event.sequence
        if (steps || event.eventType !== 'process.step') yield event
        if (event.semantics.terminal !== undefined) return
      }
    }
  }
}
