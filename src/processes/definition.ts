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

/** Schemas by the name of what they check. */
export type SchemaMap = Readonly<Record<string, Schema>>

declare const noName: unique symbol
/** No schemas at all. */
type NoSchemas = { readonly [noName]?: never }

/** Marks definitions, of other copies of the package too. */
const brand = Symbol.for('stateward.process_definition')

/** How the processes of a definition run. */
export interface ProcessOptions<
  Input extends Schema | undefined,
  Output extends Schema | undefined,
  Events extends SchemaMap,
  Signals extends SchemaMap,
> {
  /** What is started with. */
  readonly input?: Input
  /** What it comes to. */
  readonly output?: Output
  /** Events that a run may emit, by type. */
  readonly events?: Events
  /** Signals that it takes, by name. */
  readonly signals?: Signals
  /**
   * What may be done when whoever runs it is lost; there is no default. `rerunnable`: anybody runs it again, and is handed
   * the steps that were done. `owner_bound`: it is run once, and given up when its owner is dead for certain.
   */
  readonly disposition: 'rerunnable' | 'owner_bound'
  /** Names the state of its code: what was started under one version is run by hosts that have this very one. */
  readonly version?: string | number
  /** How often a rerunnable process may be started; any number unless told. */
  readonly maxAttempts?: number
  /** How many run at a time on one host, those that wait left out. Default: as many as the host runs of all kinds. */
  readonly concurrency?: number
  /** Events that wake the session which the process was started for; its end always does. */
  readonly wakes?: readonly (keyof Events & string)[]
}

/** How an event is emitted. */
export interface EmitOptions {
  /** Names the event among those of the process, in place of its number: a run that starts again may then emit in another order. */
  readonly key?: string
}

/** What a run of a process is given. Its functions may be taken out of it. */
export interface ProcessRunContext<
  Input = unknown,
  Events extends SchemaMap = SchemaMap,
  Signals extends SchemaMap = SchemaMap,
> extends Pick<DurableContext, 'step' | 'sleep' | 'sleepUntil' | 'call'> {
  readonly processId: ProcessId
  readonly input: Input
  /** The how manyth start this is, from 1. */
  readonly attempt: number
  /** Grows with every start: a store outside that refuses lower numbers takes no late write of a lost run. */
  readonly fencingToken: number
  /** Aborts when the run is told to stop: cancelled, its lease lost, or its runtime closing. */
  readonly signal: AbortSignal
  /** Aborts when the runtime begins to close. */
  readonly retiring: AbortSignal
  /**
   * Waits for a signal, which may have come before: the nth wait for a name takes the next signal that none before it took.
   * Its schema is that of the definition unless one is given. Rejects with `wait_timed_out`, with `invalid_input` for a
   * payload that the schema refuses, and with `process.event_undeclared` for a signal that the process does not take.
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
   * Writes an event into the log, once: a run that starts again finds its nth event written already. It must then be the
   * same one, or the call rejects with `process.replay_conflict`, so what changes from run to run comes from a step.
   */
  readonly emit: <Type extends keyof Events & string>(
    type: Type,
    payload: InputOf<Events[Type]>,
    options?: EmitOptions,
  ) => Promise<ProcessEvent>
}

/** The function of a definition: is given the input as its schema gives it back, and returns what its schema takes. */
export type DefinedRun<Input, Events extends SchemaMap, Signals extends SchemaMap, Returned> = (
  input: Input,
  context: ProcessRunContext<Input, Events, Signals>,
) => Returned | PromiseLike<Returned>

type AnyOptions = ProcessOptions<Schema | undefined, Schema | undefined, SchemaMap, SchemaMap>

/**
 * A kind of process with everything about it. A value to be exported, defined by the services that run it and started by
 * others. `Input` is what a caller starts it with, `Output` what its result is.
 */
export interface ProcessDefinition<
  Input = unknown,
  Output = unknown,
  Events extends SchemaMap = SchemaMap,
  Signals extends SchemaMap = SchemaMap,
> {
  readonly kind: string
  /** Checks what is started, and what the run is given: a host may find what another has started. */
  readonly input?: Schema<Input, unknown>
  /** Checks what the run returns, and what whoever asks is given. */
  readonly output?: Schema<unknown, Output>
  readonly events: Events
  readonly signals: Signals
  readonly options: Pick<AnyOptions, 'disposition' | 'maxAttempts' | 'concurrency'>
  /** Every type that its log may hold beside those of all processes. */
  readonly eventTypes: readonly ProcessEventType[]
  /** The content address of kind, version and event types: who runs its processes has the same one. */
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
 * Defines a kind of process. Schemas may be of any library that speaks Standard Schema; without one, types are those of the
 * function and nothing is checked. Values cross as JSON values and bytes, and nothing crosses as `null`.
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
    // A longer list is for its registration to refuse.
    eventTypes: eventTypes.length <= longestId ? sharedEventTypes(eventTypes) : Object.freeze(eventTypes),
    envRef: `process-env:sha256:${digestOf(environment)}`,
    run: run as ProcessDefinition['run'],
  })
}

/** Raises `invalid_input` for what a schema of one field cannot say. */
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

/** True for what {@link defineProcess} of any installed copy of the package has made. Never throws. */
export function isProcessDefinition(candidate: unknown): candidate is ProcessDefinition {
  try {
    return typeof candidate === 'object' && candidate !== null && brand in candidate
  } catch {
    // A proxy may throw.
    return false
  }
}
