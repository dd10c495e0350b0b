import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { checkFunction, optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import type { OperationId } from '../../machines/index.js'
import { takeName } from '../processes/scalars.js'
import type { DurableContext, StepScope } from '../work/durable-context.js'
import { isSchema, type InputOf, type OutputOf, type Schema } from '../work/values.js'

/** Options of an operation definition. */
export interface OperationOptions<Input extends Schema | undefined, Output extends Schema | undefined> {
  /** Schema of the input. */
  readonly input?: Input
  /** Schema of the result. */
  readonly output?: Output
  /**
   * What happens if the worker is lost. There is no default. `rerunnable`: another worker runs it again, and steps that
   * have finished return their recorded results. `owner_bound`: it is started once, and ends as terminated together
   * with its worker.
   */
  readonly disposition: 'rerunnable' | 'owner_bound'
  /** How often a rerunnable operation may be started. Unlimited by default. */
  readonly maxAttempts?: number
}

/** What a step of an operation receives. */
export interface OperationStepScope extends StepScope {
  /** Grows with every attempt. An external store that refuses lower numbers rejects late writes of a lost attempt. */
  readonly fencingToken: number
  /**
   * Reports progress. A fraction outside 0 to 1 is `invalid_input`. A report is dropped if it arrives too late, or if a
   * newer one follows while an earlier one is being sent.
   */
  readonly progress: (message: string, fraction?: number) => void
  /**
   * Adds to the tokens reported with the result. They count once the step has finished. Throws `invalid_input` unless
   * it is a whole number from 0.
   */
  readonly useTokens: (count: number) => void
}

/** What the work of an operation on the engine receives. The functions may be destructured. */
export interface OperationRunContext extends Pick<DurableContext, 'sleep' | 'sleepUntil' | 'waitFor' | 'call'> {
  readonly id: OperationId
  /** Which attempt this is, from 1. */
  readonly attempt: number
  /** Aborts when the work must stop: it was cancelled or terminated, its deadline passed, or its worker is closing. */
  readonly signal: AbortSignal
  /** Does something once. Later attempts get the recorded result. Make decisions inside steps, not around them. */
  readonly step: <Result>(
    name: string,
    work: (scope: OperationStepScope) => Result | PromiseLike<Result>,
  ) => Promise<Result>
}

/**
 * The function of a definition. It receives the input as parsed by its schema and returns a value that the output
 * schema accepts.
 */
type OperationWork<Input, Returned> = (input: Input, context: OperationRunContext) => Returned | PromiseLike<Returned>

/** Marks definitions, including those made by another installed copy of the package. */
const brand = Symbol.for('stateward.operation_definition')

type AnyOptions = OperationOptions<Schema | undefined, Schema | undefined>

/** Named work for operations, served by workers and started by clients. */
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
 * Defines work for operations on a Restate server, under a name that workers and clients share. Any schema library that
 * implements Standard Schema works.
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

/** True for a value made by {@link defineOperation} of any installed copy of the package. Never throws. */
export function isOperationDefinition(candidate: unknown): candidate is OperationDefinition {
  try {
    return typeof candidate === 'object' && candidate !== null && brand in candidate
  } catch {
    // A proxy may throw.
    return false
  }
}
