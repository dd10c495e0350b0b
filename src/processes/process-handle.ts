import type { Observable } from 'rxjs'
import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { GuardedObservable } from '../base/guarded-observable.js'
import type { IdSource } from '../base/ids.js'
import type { JsonValue } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import type { LoopShare } from '../base/loop-share.js'
import { durationSchema, optionsSchema, signalSchema, wholeNumberSchema } from '../base/options.js'
import { silence } from '../base/promises.js'
import { checkValue, decodeValue, encodeValue, type InputOf, type Schema } from '../work/values.js'
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

/** How long something is waited for. */
export interface ProcessWaitOptions {
  /** Ends the wait with its reason; the process goes on. */
  readonly signal?: AbortSignal
  /** Milliseconds after which the wait rejects with `process.await_timeout`; the process goes on. */
  readonly timeoutMs?: number
}

/** Which events are followed. */
export interface ProcessEventsOptions {
  /** The sequence after which they begin; default 0, the start. */
  readonly after?: number
  /** True: with the steps of its runs (`process.step`). */
  readonly steps?: boolean
  /** Ends the iteration with its reason. */
  readonly signal?: AbortSignal
}

/** How a signal is sent. */
export interface SignalOptions {
  /** A signal that is sent again under its id is there once. Default: one of its own for each call. */
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

/** What handles ask of the room. */
export interface ProcessHandlePort {
  readonly driver: WorkDriver
  readonly awaiter: Awaiter
  readonly ids: IdSource
  readonly logger: Logger
  /** What callers who ask over and over may take of a turn. */
  readonly share: LoopShare
  /** Looks for work, because there may be some now. */
  drive(reason: string, processId: ProcessId): void
}

/** What a handle knows of the process. */
interface HandleOptions<Output, Signals extends SchemaMap> {
  readonly kind?: string
  readonly output?: Schema<unknown, Output>
  readonly signals?: Signals
}

/**
 * A process by its id: its result, its events, and the ways to reach it. Holds nothing of the process; drop it at will.
 * Everything rejects with `process.unknown` when nothing is registered under the id, and with `store.unavailable` when the
 * store fails.
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
   * What its run has returned, once it has ended. Rejects with {@link ProcessFailed} when it has ended without a result, with
   * `process.await_timeout`, the signal's reason, `process.await_closed` when the runtime closes first, and `invalid_input`
   * for a result that the schema of the definition refuses.
   */
  result(options: ProcessWaitOptions = {}): Promise<Output> {
    return silence(this.#result(options))
  }

  /** What it has come to, once it has ended; nothing is thrown for a failure. Rejects otherwise like {@link ProcessHandle.result}. */
  async outcome(options: ProcessWaitOptions = {}): Promise<AwaitOutput | NoLongerRetained> {
    const { signal, timeoutMs } = decode(waitSchema, options, 'wait options')
    const bounds = { ...(signal !== undefined && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) }
    return this.#port.driver.awaitTerminal(this.id, bounds)
  }

  /** Its events, those that are there and those to come, each once and in order; ends after the event of its end. */
  events(options: ProcessEventsOptions = {}): AsyncIterable<ProcessEvent> {
    const taken = decode(eventsSchema, options, 'events options')
    return { [Symbol.asyncIterator]: () => this.#follow(taken, taken.signal) }
  }

  /** The same as a stream of RxJS: each subscriber gets them from the start of the options. */
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
   * Sends a signal, and resolves with its event once it is durable. Rejects with `process.event_undeclared` for one that the
   * process does not take, `process.already_terminal` when it has ended, `process.replay_conflict` for another payload
   * under the same id, and `invalid_input` for a payload that its schema refuses.
   */
  async signal<Name extends keyof Signals & string>(
    name: Name,
    payload: InputOf<Signals[Name]>,
    options: SignalOptions = {},
  ): Promise<ProcessEvent> {
    const { id = this.#port.ids.uuid() } = decode(signalOptionsSchema, options, 'signal options')
    const checkedName = decode(nameSchema, name, 'name of a signal')
    const eventType = `signal.${checkedName}`
    const { signals } = this.#definition
    const schema = signals && ownOf(signals, checkedName)
    if (signals !== undefined && schema === undefined)
      throw new ProcessError('process.event_undeclared', { processId: this.id, eventType })
    if (schema !== undefined) await checkValue(schema, payload, `signal ${checkedName}`)
    const request = {
      eventType,
      payload: encodeValue(payload, `signal ${checkedName}`) ?? null,
      replay: { key: signalKey(this.id, checkedName, id) },
    }
    const { event } = await this.#port.driver.store.appendEvent(this.id, request)
    this.#port.drive('signal', this.id)
    return event
  }

  /**
   * Asks the process to end; resolves once that is durable. Its run is told by its signal; one that nobody has begun ends
   * without being run. What it called goes on.
   */
  async cancel(reason?: string): Promise<'requested' | 'already_ended'> {
    const text = decode(v.optional(textSchema), reason, 'reason')
    const { share, driver } = this.#port
    const { store } = driver
    if (share.isUsedUp) await share.turn()
    if ((await store.getTerminal(this.id)).state === 'ended') return 'already_ended'
    const payload: JsonValue = { reason: text ?? null }
    const replay = { key: cancelRequestKey(this.id, payload) }
    await store.appendEvent(this.id, { eventType: cancelRequestedType, payload, replay })
    this.#port.drive('cancel', this.id)
    return 'requested'
  }

  /** How it stands: status, what it waits for, who has started it, and its end. */
  async status(): Promise<ProcessRecord> {
    const { share } = this.#port
    if (share.isUsedUp) await share.turn()
    const record = await this.#port.driver.store.getProcess(this.id)
    if (record === undefined) throw new ProcessError('process.unknown', { processId: this.id })
    return record
  }

  async #result(options: ProcessWaitOptions): Promise<Output> {
    const output = await this.outcome(options)
    if (output.type !== 'success') throw failedOf(this.id, output)
    const value = decodeValue(output.value)
    const { output: schema, kind = 'process' } = this.#definition
    if (schema === undefined) return value as Output
    return (await checkValue(schema, value, `result of ${kind}`)) as Output
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
