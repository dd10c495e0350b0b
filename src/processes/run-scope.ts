import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { optionsSchema } from '../base/options.js'
import { silence } from '../base/promises.js'
import type { Callable, DurableContext, StepOptions, StepScope, WaitForOptions } from '../work/durable-context.js'
import { checkValue, encodeValue, type Schema } from '../work/values.js'
import {
  isProcessDefinition,
  type EmitOptions,
  type ProcessRunContext,
  type ProcessDefinition,
  type SchemaMap,
} from './definition.js'
import { ProcessError } from './errors.js'
import type { ProcessEvent } from './event.js'
import { emitKey, ordinalKey } from './keys.js'
import type { Patiently } from './patience.js'
import type { RunLog } from './run-log.js'
import type { RunContext } from './runner.js'
import { nameSchema, type ProcessId } from './scalars.js'

const emitSchema = optionsSchema<EmitOptions>({ key: v.optional(nameSchema) })

/** Options of a {@link RunScope}. */
export interface RunScopeOptions {
  readonly run: RunContext
  readonly definition: ProcessDefinition
  readonly input: unknown
  readonly durable: DurableContext
  readonly log: RunLog
  readonly patiently: Patiently
  /** Called with definitions that the run calls by value, which need not be defined here. */
  readonly onCalled: (definition: ProcessDefinition) => void
}

/** The context of one run of a process. Its promises never cause an unhandled rejection. */
export class RunScope implements ProcessRunContext {
  readonly processId: ProcessId
  readonly input: unknown
  readonly attempt: number
  readonly fencingToken: number
  readonly #options: RunScopeOptions
  /** The number of events emitted without a key. */
  #emitted = 0

  constructor(options: RunScopeOptions) {
    const { run, input } = options
    this.#options = options
    this.processId = run.record.id
    this.input = input
    this.attempt = run.record.firstStarted?.attempt ?? 1
    this.fencingToken = run.lease().fencingToken
  }

  get signal(): AbortSignal {
    return this.#options.run.job.signal
  }

  get retiring(): AbortSignal {
    return this.#options.run.job.retiring
  }

  readonly step = <Output>(
    name: string,
    work: (scope: StepScope) => Output | PromiseLike<Output>,
    options?: StepOptions<Output>,
  ): Promise<Output> => {
    const { durable, log } = this.#options
    const resumed = async (scope: StepScope): Promise<Output> => {
      await log.resume()
      return work(scope)
    }
    // `durable.step` refuses anything that is not a function.
    return silence(durable.step(name, typeof work === 'function' ? resumed : work, options))
  }

  readonly sleep = (durationMs: number): Promise<void> => silence(this.#options.durable.sleep(durationMs))

  readonly sleepUntil = (instant: Date | number): Promise<void> => silence(this.#options.durable.sleepUntil(instant))

  readonly call = ((called: Callable<unknown, unknown> | string, input?: unknown): Promise<unknown> => {
    const { durable, onCalled } = this.#options
    if (typeof called === 'string') return silence(durable.call(called, input))
    if (isProcessDefinition(called)) onCalled(called)
    return silence(durable.call(called, input))
  }) as ProcessRunContext['call']

  readonly waitFor = (name: string, given?: Schema, options: WaitForOptions = {}): Promise<never> => {
    const { durable, definition } = this.#options
    const schema = given ?? ownOf(definition.signals, name)
    return silence(
      schema === undefined ? durable.waitFor(name, undefined, options) : durable.waitFor(name, schema, options),
    ) as Promise<never>
  }

  readonly emit = (eventType: string, payload: unknown, options: EmitOptions = {}): Promise<ProcessEvent> =>
    silence(this.#emit(eventType, payload, options))

  async #emit(eventType: string, payload: unknown, options: EmitOptions): Promise<ProcessEvent> {
    const { run, definition, log, patiently } = this.#options
    const schema = ownOf(definition.events, decode(nameSchema, eventType, 'type of an event'))
    if (schema === undefined)
      throw new ProcessError('process.event_undeclared', { processId: this.processId, eventType })
    const { key } = decode(emitSchema, options, 'emit options')
    if (key === undefined) this.#emitted += 1
    const replay = { key: key === undefined ? ordinalKey(this.processId, this.#emitted) : emitKey(this.processId, key) }
    return run.job.step(async () => {
      await checkValue(schema, payload, `event ${eventType}`)
      await log.resume()
      const request = { eventType, payload: encodeValue(payload, `event ${eventType}`) ?? null, replay }
      const append = () => run.store.appendEvent(this.processId, request, { lease: run.lease() })
      return (await patiently(append)).event
    })
  }
}

/** An own property of a schema map. */
export function ownOf(schemas: SchemaMap, name: string): Schema | undefined {
  return Object.hasOwn(schemas, name) ? schemas[name] : undefined
}
