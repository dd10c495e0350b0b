import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { checkFunction, optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import type { OperationId } from '../../machines/index.js'
import { takeName } from '../processes/scalars.js'
import type { DurableContext, StepScope } from '../work/durable-context.js'
import { isSchema, type InputOf, type OutputOf, type Schema } from '../work/values.js'

/** How the operations of a definition run. */
export interface OperationOptions<Input extends Schema | undefined, Output extends Schema | undefined> {
  /** What is started with. */
  readonly input?: Input
  /** What it comes to. */
  readonly output?: Output
  /**
   * What may be done when the worker that runs it is lost; there is no default. `rerunnable`: another one runs it again, and is
   * handed the steps that were done. `owner_bound`: it is begun once, and ends as terminated with its worker.
   */
  readonly disposition: 'rerunnable' | 'owner_bound'
  /** How often a rerunnable one may be begun; any number unless told. */
  readonly maxAttempts?: number
}

/** What a step of an operation is given. */
export interface OperationStepScope extends StepScope {
  /** Grows with every attempt: a store outside that refuses lower numbers takes no late write of a lost one. */
  readonly fencingToken: number
  /** Says how far it is; a fraction from 0 to 1, anything else is `invalid_input`. What comes too late is dropped, and so is what
   * a later one overtakes while an earlier one is on its way. */
  readonly progress: (message: string, fraction?: number) => void
  /** Adds to the tokens that the result will account for, once the step has come to its end. Throws `invalid_input` unless it is a whole number from 0. */
  readonly useTokens: (count: number) => void
}

/** What the work of an operation is given on the engine. Its functions may be taken out of it. */
export interface OperationRunContext extends Pick<DurableContext, 'sleep' | 'sleepUntil' | 'waitFor' | 'call'> {
  readonly id: OperationId
  /** The how manyth attempt this is, from 1. */
  readonly attempt: number
  /** Aborts when it is told to stop: cancelled, terminated, past its deadline, or its worker closing. */
  readonly signal: AbortSignal
  /** Does something once, and hands out the same result in every later attempt; decide within it, never around it. */
  readonly step: <Result>(
    name: string,
    work: (scope: OperationStepScope) => Result | PromiseLike<Result>,
  ) => Promise<Result>
}

/** The function of a definition: is given the input as its schema gives it back, and returns what its schema takes. */
type OperationWork<Input, Returned> = (input: Input, context: OperationRunContext) => Returned | PromiseLike<Returned>

/** Marks definitions, of other copies of the package too. */
const brand = Symbol.for('stateward.operation_definition')

type AnyOptions = OperationOptions<Schema | undefined, Schema | undefined>

/** The work of operations under a name, served by workers and started by clients. */
export interface OperationDefinition<Input = unknown, Output = unknown> {
  readonly name: string
  readonly input?: Schema<Input, unknown>
  readonly output?: Schema<unknown, Output>
  readonly options: Pick<AnyOptions, 'disposition' | 'maxAttempts'>
  readonly run: (input: unknown, context: OperationRunContext) => unknown
}

const standardSchema = v.custom<Schema>(isSchema, ({ input }) => `speaks no Standard Schema: ${textOf(input)}`)
const definitionSchema = optionsSchema<AnyOptions>({
  input: v.optional(standardSchema),
  output: v.optional(standardSchema),
  disposition: v.picklist(['rerunnable', 'owner_bound']),
  maxAttempts: v.optional(wholeNumberSchema(1)),
})

/**
 * Defines work that operations on a Restate server run, by the name that workers and clients share. Schemas may be of any
 * library that speaks Standard Schema.
 *
 *     const fetchDocs = defineOperation(
 *       'fetch_docs',
 *       { input: v.object({ url: v.string() }), disposition: 'rerunnable' },
 *       ({ url }, { step }) => step('fetch', ({ signal }) => fetchText(url, signal)),
 *     )
 *     const docs = await restate.session('s-1').run(fetchDocs, { url })
 *
 * Raises `invalid_input` naming the field.
 */
export function defineOperation<Input extends Schema, Output extends Schema>(
  name: string,
  options: OperationOptions<Input, Output> & { readonly input: Input; readonly output: Output },
  run: OperationWork<OutputOf<Input>, InputOf<Output>>,
): OperationDefinition<InputOf<Input>, OutputOf<Output>>
export function defineOperation<Input extends Schema, Returned>(
  name: string,
  options: OperationOptions<Input, undefined> & { readonly input: Input },
  run: OperationWork<OutputOf<Input>, Returned>,
): OperationDefinition<InputOf<Input>, Returned>
export function defineOperation<Output extends Schema, Input = unknown>(
  name: string,
  options: OperationOptions<undefined, Output> & { readonly output: Output },
  run: OperationWork<Input, InputOf<Output>>,
): OperationDefinition<Input, OutputOf<Output>>
export function defineOperation<Returned, Input = unknown>(
  name: string,
  options: OperationOptions<undefined, undefined>,
  run: OperationWork<Input, Returned>,
): OperationDefinition<Input, Returned>
export function defineOperation(
  name: string,
  options: AnyOptions,
  run: (input: never, context: OperationRunContext) => unknown,
): OperationDefinition {
  takeName(name, 'name of an operation')
  checkFunction('run', run)
  const { input, output, ...rest } = decode(definitionSchema, options, `definition of ${name}`)
  return Object.freeze({
    [brand]: true,
    name,
    ...(input !== undefined && { input }),
    ...(output !== undefined && { output }),
    options: Object.freeze(rest),
    run: run as OperationDefinition['run'],
  })
}

/** True for what {@link defineOperation} of any installed copy of the package has made. Never throws. */
export function isOperationDefinition(candidate: unknown): candidate is OperationDefinition {
  try {
    return typeof candidate === 'object' && candidate !== null && brand in candidate
  } catch {
    // A proxy may throw.
    return false
  }
}
