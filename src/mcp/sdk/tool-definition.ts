import type {
  CallToolResult,
  InputRequiredResult,
  ServerContext,
  StandardSchemaWithJSON,
  ToolAnnotations,
} from '@modelcontextprotocol/server'
import * as v from 'valibot'
import {
  durationSchema,
  functionSchema,
  nameSchema,
  optionsSchema,
  textOf,
  textSchema,
  wholeNumberSchema,
} from '../../base/options.js'
import { messageOf } from '../../base/errors.js'
import { isSchema } from '../../work/values.js'
import type { McpTask } from '../life/mcp-task.js'
import type { McpRecovery, TaskSupport } from '../life/tool.js'
import type { McpRequest } from './request.js'

/** The arguments of a tool as parsed by its schema. */
export type ArgumentsOf<Input> = Input extends StandardSchemaWithJSON
  ? StandardSchemaWithJSON.InferOutput<Input>
  : unknown

/** What `before` may return: a result, a question within the request itself, or nothing. */
export type BeforeTask = CallToolResult | InputRequiredResult | { readonly args: unknown } | undefined

/** Options of a durable tool. */
export interface McpToolOptions<Input extends StandardSchemaWithJSON | undefined = StandardSchemaWithJSON | undefined> {
  readonly title?: string
  readonly description?: string
  readonly inputSchema?: Input
  readonly outputSchema?: StandardSchemaWithJSON
  readonly annotations?: ToolAnnotations
  readonly _meta?: Record<string, unknown>
  /**
   * `optional`, the default: hosts that do not declare the extension get the result itself. `required`: they are
   * refused.
   */
  readonly taskSupport?: TaskSupport
  /** What happens to a task when the server is lost. Default `{ rerun: 3 }`. */
  readonly recovery?: McpRecovery
  /** Milliseconds for which a handle is valid. `null` means forever. Default: that of the door. */
  readonly ttlMs?: number | null
  /** The poll interval recommended to hosts, in milliseconds. Default: that of the door. */
  readonly pollIntervalMs?: number
  /** Milliseconds that a call waits for the result before it is answered with a handle. Default 0. */
  readonly inlineMs?: number
  /** The key under which a repeated call returns the same task while that is live. `undefined`: a new task. */
  readonly dedupe?: (args: ArgumentsOf<Input>, request: McpRequest) => string | undefined | Promise<string | undefined>
  /**
   * Runs before a task is created. Return nothing to continue, `{ args }` to continue with other arguments, a final
   * result, or the value of the SDK's `inputRequired(...)` to ask first.
   */
  readonly before?: (args: ArgumentsOf<Input>, ctx: ServerContext) => BeforeTask | Promise<BeforeTask>
}

/** The function of a durable tool. It returns a result. A thrown error becomes an error result. */
export type McpToolRun<Input extends StandardSchemaWithJSON | undefined> = (
  args: ArgumentsOf<Input>,
  task: McpTask,
) => CallToolResult | Promise<CallToolResult>

/** A schema as JSON Schema, if it supports that. */
export function jsonSchemaOf(
  schema: StandardSchemaWithJSON,
  side: 'input' | 'output',
): Readonly<Record<string, unknown>> {
  return schema['~standard'].jsonSchema[side]({ target: 'draft-2020-12' })
}

/**
 * Why a schema cannot be listed to hosts, if so: a single such schema would break the list of all tools. Schemas that
 * the SDK itself does not list, like those of zod before 4.2, are left to it.
 */
export function listingFault(schema: StandardSchemaWithJSON, side: 'input' | 'output'): string | undefined {
  const { jsonSchema } = schema['~standard'] as Partial<StandardSchemaWithJSON['~standard']>
  if (jsonSchema === undefined)
    return '_zod' in schema ? undefined : 'has no JSON schema: wrap one with fromJsonSchema()'
  try {
    const { type = 'object' } = jsonSchemaOf(schema, side)
    return type === 'object' ? undefined : `describes no object: ${textOf(type)}`
  } catch (thrown) {
    return `has no JSON schema: ${messageOf(thrown)}`
  }
}

const schemaOf = (side: 'input' | 'output') =>
  v.pipe(
    v.custom<StandardSchemaWithJSON>(isSchema, ({ input }) => `speaks no Standard Schema: ${textOf(input)}`),
    v.check(
      (schema) => listingFault(schema, side) === undefined,
      ({ input }) => listingFault(input, side) ?? '',
    ),
  )
const recoverySchema = v.union(
  [
    v.picklist(['report', 'external']),
    optionsSchema<{ readonly rerun: number }>({ rerun: wholeNumberSchema(1, 1_000_000) }),
  ],
  'not { rerun: n }, report or external',
) as v.GenericSchema<unknown, McpRecovery>

/** Accepts the name of a tool. */
export const toolNameSchema = v.pipe(nameSchema, v.maxLength(200, 'longer than 200 characters'))

const definitionEntries = {
  title: v.optional(textSchema()),
  description: v.optional(textSchema()),
  inputSchema: v.optional(schemaOf('input')),
  outputSchema: v.optional(schemaOf('output')),
  annotations: v.optional(
    v.custom<ToolAnnotations>((input) => typeof input === 'object' && input !== null, 'not an object'),
  ),
  _meta: v.optional(
    v.custom<Record<string, unknown>>((input) => typeof input === 'object' && input !== null, 'not an object'),
  ),
  taskSupport: v.optional(v.picklist(['optional', 'required'])),
  ttlMs: v.optional(v.nullable(durationSchema)),
  pollIntervalMs: v.optional(wholeNumberSchema(0, 86_400_000)),
  inlineMs: v.optional(durationSchema),
  dedupe: v.optional(functionSchema<NonNullable<McpToolOptions['dedupe']>>()),
}

/** Accepts {@link McpToolOptions}. */
export const toolOptionsSchema = optionsSchema<McpToolOptions>({
  ...definitionEntries,
  recovery: v.optional(recoverySchema),
  before: v.optional(functionSchema<NonNullable<McpToolOptions['before']>>()),
})

/** Options of a definition exposed as a tool. */
export type DefinitionToolOptions = Omit<McpToolOptions, 'recovery' | 'before'> & {
  /** Default: the kind of the definition. */
  readonly name?: string
}

/** Accepts {@link DefinitionToolOptions}. */
export const definitionOptionsSchema = optionsSchema<DefinitionToolOptions>({
  ...definitionEntries,
  name: v.optional(toolNameSchema),
})
