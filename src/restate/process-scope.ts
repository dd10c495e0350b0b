import { messageOf } from '../base/errors.js'
import { silence } from '../base/promises.js'
import {
  ProcessError,
  type ProcessDefinition,
  type ProcessEvent,
  type ProcessId,
  type ProcessRunContext,
} from '../processes/index.js'
import { ownOf } from '../processes/run-scope.js'
import { checkSize } from '../processes/scalars.js'
import type { Callable, StepOptions, StepScope, WaitForOptions } from '../work/durable-context.js'
import { checkValue, encodeValue, type Schema } from '../work/values.js'
import type { ProcessObject } from './process-object.js'
import { RunScope, type RunScopeOptions } from './run-scope.js'
import { processesService } from './services.js'
import { refusalIn } from './wire.js'

/** The context of one run of a process on the engine. */
export class ProcessScope extends RunScope implements ProcessRunContext {
  readonly processId: ProcessId
  readonly input: unknown
  readonly #options: RunScopeOptions
  readonly #definition: ProcessDefinition
  #emitted = 0

  constructor(options: RunScopeOptions, definition: ProcessDefinition, input: unknown) {
    super(options)
    this.#options = options
    this.#definition = definition
    this.processId = options.id
    this.input = input
  }

  /** A closing worker hands nothing over: whatever it has not answered is retried elsewhere. */
  get retiring(): AbortSignal {
    return this.signal
  }

  readonly step = <Output>(
    name: string,
    work: (scope: StepScope) => Output | PromiseLike<Output>,
    options?: StepOptions<Output>,
  ): Promise<Output> => silence(this.doStep(name, work, options))

  readonly sleep = (durationMs: number): Promise<void> => silence(this.durable.sleep(durationMs))

  readonly sleepUntil = (instant: Date | number): Promise<void> => silence(this.durable.sleepUntil(instant))

  readonly call = ((called: Callable<unknown, unknown> | string, input?: unknown): Promise<unknown> =>
    typeof called === 'string'
      ? silence(this.durable.call(called, input))
      : silence(this.durable.call(called, input))) as ProcessRunContext['call']

  readonly waitFor = (name: string, given?: Schema, options: WaitForOptions = {}): Promise<never> => {
    const schema = given ?? ownOf(this.#definition.signals, name)
    return silence(
      schema === undefined
        ? this.durable.waitFor(name, undefined, options)
        : this.durable.waitFor(name, schema, options),
    ) as Promise<never>
  }

  readonly emit = (eventType: string, payload: unknown): Promise<ProcessEvent> =>
    silence(this.#emit(eventType, payload))

  async #emit(eventType: string, payload: unknown): Promise<ProcessEvent> {
    const { ctx, place, waits } = this.#options
    const schema = ownOf(this.#definition.events, eventType)
    if (schema === undefined)
      throw new ProcessError('process.event_undeclared', { processId: this.processId, eventType })
    this.#emitted += 1
    const ordinal = this.#emitted
    await checkValue(schema, payload, `event ${eventType}`)
    const encoded = encodeValue(payload, `event ${eventType}`) ?? null
    checkSize(encoded, `event ${eventType}`, 'payload')
    try {
      const rows = ctx.objectClient<ProcessObject>({ name: processesService }, place.key)
      return await waits.on(rows.append({ id: this.processId, eventType, payload: encoded, ordinal }))
    } catch (thrown) {
      throw refusalIn(messageOf(thrown)) ?? thrown
    }
  }
}
