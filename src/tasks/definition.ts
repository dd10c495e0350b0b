import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { checkFunction, checkText, optionsSchema, textOf, wholeNumberSchema } from '../base/options.js'
import { checkValue, type InputOf, isSchema, type OutputOf, type Schema } from '../work/values.js'
import { TaskError } from './errors.js'
import {
  type Handler,
  type HandlerContext,
  handlerFields,
  type HandlerOptions,
  isSuspension,
  type Suspension,
  ValueRefused,
} from './dispatch/handler.js'

/** Marks definitions, including those made by other copies of the package. */
const brand = Symbol.for('stateward.task_definition')

/** How tasks of a definition run. A submission may override these. */
export interface DefinitionOptions extends HandlerOptions {
  /** Attempts per run. Default 1. */
  readonly maxAttempts?: number
  /** Milliseconds per attempt. Default: no limit. */
  readonly timeoutMs?: number
  /** How many lost attempts in a row fail a run. Default 3. */
  readonly maxLosses?: number
}

/** What {@link defineTask} takes besides the handler. */
interface DefinitionInput<Input extends Schema | undefined, Output extends Schema | undefined>
  extends DefinitionOptions {
  readonly input?: Input
  readonly output?: Output
}

/**
 * The handler of a definition. It receives the input as the schema returns it, and must return what the output schema
 * accepts.
 */
export type DefinedHandler<Input, Returned> = (
  input: Input,
  context: HandlerContext,
) => Returned | PromiseLike<Returned>

/**
 * One kind of task: its input, its result, how it runs, and its handler. It is a plain value: one service can register
 * it and others can submit it. `Input` is what a caller submits, `Output` the result.
 */
export interface TaskDefinition<Input = unknown, Output = unknown> {
  readonly kind: string
  /** Checks the input on submission, and again before the handler runs, since another version may have submitted it. */
  readonly input?: Schema<Input, unknown>
  /** Checks what the handler returns, and again what a caller reads as the result. */
  readonly output?: Schema<unknown, Output>
  readonly options: DefinitionOptions
  /** Checks the input, does the work and checks the output. */
  readonly handler: Handler
}

const definitionSchema = optionsSchema<DefinitionInput<Schema | undefined, Schema | undefined>>({
  ...handlerFields,
  maxAttempts: v.optional(wholeNumberSchema(1, 0xffff_ffff)),
  timeoutMs: v.optional(wholeNumberSchema(1)),
  maxLosses: v.optional(wholeNumberSchema(1, 0xffff_ffff)),
  input: v.optional(schemaSchema()),
  output: v.optional(schemaSchema()),
})

function schemaSchema(): v.GenericSchema<unknown, Schema> {
  return v.custom<Schema>(isSchema, ({ input }) => `speaks no Standard Schema: ${textOf(input)}`)
}

/**
 * Defines a kind of task. Schemas may come from any library that supports Standard Schema. Without one, the types are
 * those of the handler and nothing is checked. The stored value is the one submitted, as JSON and bytes: a schema that
 * transforms is applied both when it is submitted and when the handler receives it.
 *
 *     export const report = defineTask('report', { input: Topic, output: Report, maxAttempts: 3 }, async ({ topic }, context) => {
 *       ...
 *     })
 *     const handle = await runtime.tasks.submit(report, { topic: 'cranes' })
 *
 * Raises `invalid_input`, `empty_kind`, and `invalid_budget_dimension` or `zero_amount` for an amount to reserve.
 */
export function defineTask<Input extends Schema, Output extends Schema>(
  kind: string,
  options: DefinitionInput<Input, Output> & { readonly input: Input; readonly output: Output },
  handler: DefinedHandler<OutputOf<Input>, InputOf<Output> | Suspension>,
): TaskDefinition<InputOf<Input>, OutputOf<Output>>
export function defineTask<Input extends Schema, Returned>(
  kind: string,
  options: DefinitionInput<Input, undefined> & { readonly input: Input },
  handler: DefinedHandler<OutputOf<Input>, Returned>,
): TaskDefinition<InputOf<Input>, Exclude<Returned, Suspension>>
export function defineTask<Output extends Schema, Input = unknown>(
  kind: string,
  options: DefinitionInput<undefined, Output> & { readonly output: Output },
  handler: DefinedHandler<Input, InputOf<Output> | Suspension>,
): TaskDefinition<Input, OutputOf<Output>>
export function defineTask<Returned, Input = unknown>(
  kind: string,
  options: DefinitionInput<undefined, undefined>,
  handler: DefinedHandler<Input, Returned>,
): TaskDefinition<Input, Exclude<Returned, Suspension>>
export function defineTask(
  kind: string,
  options: DefinitionInput<Schema | undefined, Schema | undefined>,
  handler: DefinedHandler<never, unknown>,
): TaskDefinition {
  checkText('kind of a task', kind)
  if (kind === '') throw new TaskError('empty_kind', {})
  checkFunction('handler', handler)
  const { input, output, ...rest } = decode(definitionSchema, options, `definition of ${kind}`)
  const schemas = { ...(input !== undefined && { input }), ...(output !== undefined && { output }) }
  const work = handler as DefinedHandler<unknown, unknown>
  return Object.freeze({
    [brand]: true,
    kind,
    ...schemas,
    options: Object.freeze(rest),
    handler: handlerOf(kind, schemas, work),
  })
}

/** True for definitions made by {@link defineTask}, of any installed copy of the package. Never throws. */
export function isDefinition(candidate: unknown): candidate is TaskDefinition {
  try {
    return typeof candidate === 'object' && candidate !== null && brand in candidate
  } catch {
    // A proxy may throw.
    return false
  }
}

/** The options of a definition that its registration needs. */
export function handlerOptionsOf({ reserve, concurrency, rate, backoff, version }: DefinitionOptions): HandlerOptions {
  return {
    ...(reserve !== undefined && { reserve }),
    ...(concurrency !== undefined && { concurrency }),
    ...(rate !== undefined && { rate }),
    ...(backoff !== undefined && { backoff }),
    ...(version !== undefined && { version }),
  }
}

interface Schemas {
  readonly input?: Schema
  readonly output?: Schema
}

function handlerOf(kind: string, { input, output }: Schemas, work: DefinedHandler<unknown, unknown>): Handler {
  return async (context) => {
    const given = await orRefused(() => checked(input, context.input, `input of ${kind}`))
    const returned = await work(given, context)
    if (!isSuspension(returned)) await orRefused(() => checked(output, returned, `output of ${kind}`))
    return returned
  }
}

async function checked(schema: Schema | undefined, value: unknown, subject: string): Promise<unknown> {
  return schema === undefined ? value : checkValue(schema, value, subject)
}

/** Throws `value_refused`, a final failure: a schema would refuse the same value in the next attempt. */
async function orRefused(check: () => Promise<unknown>): Promise<unknown> {
  try {
    return await check()
  } catch (cause) {
    if (cause instanceof InvalidInputError) throw new ValueRefused(cause)
    throw cause
  }
}
