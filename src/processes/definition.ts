import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import type { JsonValue } from '../base/json.js'
import { checkFunction, optionsSchema, recordSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { longestDurableName, type DurableContext, type WaitForOptions } from '../work/durable-context.js'
import { type InputOf, isSchema, type OutputOf, type Schema } from '../work/values.js'
import type { ProcessEventType } from './event-type.js'
import type { ProcessEvent } from './event.js'
import { sharedEventTypes } from './event-type-lists.js'
import { digestOf } from './keys.js'
import type { ExecutionEnvRef } from './registration.js'
import { longestId, nameSchema, takeName, type ProcessId } from './scalars.js'

/** Schemas by name. */
export type SchemaMap = Readonly<Record<string, Schema>>

declare const noName: unique symbol
/** An empty schema map. */
type NoSchemas = { readonly [noName]?: never }

/** Marks definitions, including those made by another installed copy of the package. */
const brand = Symbol.for('stateward.process_definition')

/** Options of a process definition. */
export interface ProcessOptions<
  Input extends Schema | undefined,
  Output extends Schema | undefined,
  Events extends SchemaMap,
  Signals extends SchemaMap,
> {
  /** Schema of the input that a process is started with. */
  readonly input?: Input
  /** Schema of the result. */
  readonly output?: Output
  /** Schemas of the events that a run may emit, by type. */
  readonly events?: Events
  /** Schemas of the signals that the process accepts, by name. */
  readonly signals?: Signals
  /**
   * What happens if the host that runs the process is lost. There is no default. `rerunnable`: any host runs it again,
   * and steps that have finished return their recorded results. `owner_bound`: it runs only once, and is abandoned when
   * its owner is known to be dead.
   */
  readonly disposition: 'rerunnable' | 'owner_bound'
  /** Version of the code. A process started under one version is run only by hosts that have exactly this version. */
  readonly version?: string | number
  /** How often a rerunnable process may be started. Unlimited by default. */
  readonly maxAttempts?: number
  /**
   * How many processes of this kind run at a time on one host, not counting those that are waiting. Default: the host's
   * overall limit.
   */
  readonly concurrency?: number
  /** Types of events that wake the session that the process was started for. The end of the process always does. */
  readonly wakes?: readonly (keyof Events & string)[]
}

/** Options of `emit`. */
export interface EmitOptions {
  /**
   * Identifies the event within the process, in place of its number. With keys, a run that starts again may emit in a
   * different order.
   */
  readonly key?: string
}

/** What a run receives: its input, durable steps and waits. The functions may be destructured. */
export interface ProcessRunContext<
  Input = unknown,
  Events extends SchemaMap = SchemaMap,
  Signals extends SchemaMap = SchemaMap,
> extends Pick<DurableContext, 'step' | 'sleep' | 'sleepUntil' | 'call'> {
  readonly processId: ProcessId
  readonly input: Input
  /** Which start of the process this is, from 1. */
  readonly attempt: number
  /** Grows with every start. An external store that refuses lower numbers rejects late writes of a lost run. */
  readonly fencingToken: number
  /** Aborts when the run must stop: it was cancelled, its lease was lost, or its runtime is closing. */
  readonly signal: AbortSignal
  /** Aborts when the runtime begins to close. */
  readonly retiring: AbortSignal
  /**
   * Waits for a signal, which may have arrived before. The nth wait for a name takes the next signal that no earlier
   * wait took. The schema defaults to that of the definition. Rejects with `wait_timed_out`, with `invalid_input` for a
   * payload that the schema refuses, and with `process.event_undeclared` for a signal that the process does not accept.
   */
  readonly waitFor: {
    <Name extends keyof Signals & string>(
      name: Name,
      schema?: undefined,
      options?: WaitForOptions,
    ): Promise<OutputOf<Signals[Name]>>
    <Answer extends Schema>(name: string, schema: Answer, options?: WaitForOptions): Promise<OutputOf<Answer>>
  }
  /**
   * Writes an event to the log exactly once: when a run starts again, its nth event is already there. It must be the
   * same event, or the call rejects with `process.replay_conflict`. So compute anything that differs between runs in a
   * step.
   */
  readonly emit: <Type extends keyof Events & string>(
    type: Type,
    payload: InputOf<Events[Type]>,
    options?: EmitOptions,
  ) => Promise<ProcessEvent>
}

/**
 * The function of a definition. It receives the input as parsed by its schema and returns a value that the output
 * schema accepts.
 */
export type DefinedRun<Input, Events extends SchemaMap, Signals extends SchemaMap, Returned> = (
  input: Input,
  context: ProcessRunContext<Input, Events, Signals>,
) => Returned | PromiseLike<Returned>

type AnyOptions = ProcessOptions<Schema | undefined, Schema | undefined, SchemaMap, SchemaMap>

/**
 * Everything about one kind of process. Export it as a value: services that run the kind pass it to `define`, others
 * start it. `Input` is what a caller starts it with, `Output` is its result.
 */
export interface ProcessDefinition<
  Input = unknown,
  Output = unknown,
  Events extends SchemaMap = SchemaMap,
  Signals extends SchemaMap = SchemaMap,
> {
  readonly kind: string
  /**
   * Checks the input at the start and again before a run, because the process may have been started by another host.
   */
  readonly input?: Schema<Input, unknown>
  /** Checks what the run returns, and the result that a caller receives. */
  readonly output?: Schema<unknown, Output>
  readonly events: Events
  readonly signals: Signals
  readonly options: Pick<AnyOptions, 'disposition' | 'maxAttempts' | 'concurrency'>
  /** Every event type that the log may hold in addition to the built-in ones. */
  readonly eventTypes: readonly ProcessEventType[]
  /**
   * Content address of the kind, version and event types. A host runs the process only if it has a definition with the
   * same address.
   */
  readonly envRef: ExecutionEnvRef
  readonly run: (input: unknown, context: ProcessRunContext) => unknown
}

const signalNamePattern = /^[A-Za-z0-9_-]+$/
const standardSchema = v.custom<Schema>(isSchema, ({ input }) => `speaks no Standard Schema: ${textOf(input)}`)

const optionsOfDefinition = optionsSchema<AnyOptions>({
  input: v.optional(standardSchema),
  output: v.optional(standardSchema),
  events: v.optional(recordSchema(standardSchema)),
  signals: v.optional(recordSchema(standardSchema)),
  disposition: v.picklist(['rerunnable', 'owner_bound']),
  version: v.optional(
    v.custom<string | number>(
      (input) => (typeof input === 'string' && input !== '') || Number.isSafeInteger(input),
      ({ input }) => `neither text nor a whole number: ${textOf(input)}`,
    ),
  ),
  maxAttempts: v.optional(wholeNumberSchema(1)),
  concurrency: v.optional(wholeNumberSchema(1)),
  wakes: v.optional(v.array(nameSchema)),
})

/**
 * Defines a kind of process. Any schema library that implements Standard Schema works. Without a schema, the types come
 * from the function and nothing is checked. Values are stored as JSON values and bytes; `undefined` is stored as
 * `null`.
 *
 *     export const publish = defineProcess(
 *       'publish',
 *       { input: Article, signals: { approval: Approval }, disposition: 'rerunnable' },
 *       async (article, { step, waitFor }) => {
 *         const draft = await step('draft', () => write(article))
 *         const { approved } = await waitFor('approval')
 *         return approved ? step('publish', () => put(draft)) : undefined
 *       },
 *     )
 *     const handle = await runtime.processes.start(publish, article, { id: 'article-7' })
 *
 * Raises `invalid_input` naming the field.
 */
export function defineProcess<
  Input extends Schema,
  Output extends Schema,
  Events extends SchemaMap = NoSchemas,
  Signals extends SchemaMap = NoSchemas,
>(
  kind: string,
  options: ProcessOptions<Input, Output, Events, Signals> & { readonly input: Input; readonly output: Output },
  run: DefinedRun<OutputOf<Input>, Events, Signals, InputOf<Output>>,
): ProcessDefinition<InputOf<Input>, OutputOf<Output>, Events, Signals>
export function defineProcess<
  Input extends Schema,
  Returned,
  Events extends SchemaMap = NoSchemas,
  Signals extends SchemaMap = NoSchemas,
>(
  kind: string,
  options: ProcessOptions<Input, undefined, Events, Signals> & { readonly input: Input },
  run: DefinedRun<OutputOf<Input>, Events, Signals, Returned>,
): ProcessDefinition<InputOf<Input>, Returned, Events, Signals>
export function defineProcess<
  Output extends Schema,
  Input = unknown,
  Events extends SchemaMap = NoSchemas,
  Signals extends SchemaMap = NoSchemas,
>(
  kind: string,
  options: ProcessOptions<undefined, Output, Events, Signals> & { readonly output: Output },
  run: DefinedRun<Input, Events, Signals, InputOf<Output>>,
): ProcessDefinition<Input, OutputOf<Output>, Events, Signals>
export function defineProcess<
  Returned,
  Input = unknown,
  Events extends SchemaMap = NoSchemas,
  Signals extends SchemaMap = NoSchemas,
>(
  kind: string,
  options: ProcessOptions<undefined, undefined, Events, Signals>,
  run: DefinedRun<Input, Events, Signals, Returned>,
): ProcessDefinition<Input, Returned, Events, Signals>
export function defineProcess(
  kind: string,
  options: AnyOptions,
  run: (input: never, context: never) => unknown,
): ProcessDefinition {
  takeName(kind, 'kind of a process')
  checkFunction('run', run)
  const subject = `definition of ${kind}`
  const decoded = decode(optionsOfDefinition, options, subject)
  checkTogether(subject, decoded)
  const { input, output, events = {}, signals = {}, version, wakes = [], ...rest } = decoded
  const eventTypes = [
    ...Object.keys(events).map((name) => eventTypeOf(name, wakes.includes(name))),
    ...Object.keys(signals).map((name) => eventTypeOf(`signal.${name}`, false)),
  ]
  const environment = { kind, version: version ?? null, event_types: eventTypes as unknown as JsonValue }
  return Object.freeze({
    [brand]: true,
    kind,
    ...(input !== undefined && { input }),
    ...(output !== undefined && { output }),
    events: Object.freeze({ ...events }),
    signals: Object.freeze({ ...signals }),
    options: Object.freeze(rest),
    // A longer list is refused at registration.
    eventTypes: eventTypes.length <= longestId ? sharedEventTypes(eventTypes) : Object.freeze(eventTypes),
    envRef: `process-env:sha256:${digestOf(environment)}`,
    run: run as ProcessDefinition['run'],
  })
}

/** Checks rules that span several fields. Raises `invalid_input`. */
function checkTogether(subject: string, options: AnyOptions): void {
  const { events = {}, signals = {}, wakes = [], disposition, maxAttempts } = options
  const refuse = (field: string, reason: string): never => {
    throw new InvalidInputError({ subject, field, reason })
  }
  for (const name of Object.keys(events)) {
    const isOurs = name.startsWith('process.') || name.startsWith('signal.')
    if (isOurs || !v.is(nameSchema, name)) refuse(`events.${name}`, `not a name for an event: ${textOf(name)}`)
  }
  for (const name of Object.keys(signals)) {
    if (signalNamePattern.test(name) && name.length <= longestDurableName) continue
    refuse(`signals.${name}`, `not a name of letters, digits, "_" and "-": ${textOf(name)}`)
  }
  const strange = wakes.findIndex((name) => !Object.hasOwn(events, name))
  if (strange !== -1) refuse(`wakes.${strange}`, `no event of the definition: ${textOf(wakes[strange])}`)
  if (maxAttempts !== undefined && disposition !== 'rerunnable')
    refuse('maxAttempts', 'what is bound to its owner is started once')
}

function eventTypeOf(name: string, doesWake: boolean): ProcessEventType {
  const semantics = doesWake ? { wake: { input: { type: 'payload' } as const } } : {}
  return { name, payloadSchema: {}, semantics }
}

/** True for a value made by {@link defineProcess} of any installed copy of the package. Never throws. */
export function isProcessDefinition(candidate: unknown): candidate is ProcessDefinition {
  try {
    return typeof candidate === 'object' && candidate !== null && brand in candidate
  } catch {
    // A proxy may throw.
    return false
  }
}
