import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import type { JsonObject, JsonValue } from '../base/json.js'
import { idSchema, jsonObjectSchema, jsonSchema, nameSchema } from './scalars.js'

/** A prepared tool call. */
export interface PreparedToolCall {
  readonly callId: string
  readonly toolId: string
  readonly toolName: string
  readonly args: JsonValue
  readonly replay?: JsonValue
  readonly prepared: JsonValue
}

/** What a process executes. */
export type ProcessInput =
  | { readonly type: 'tool_call'; readonly call: PreparedToolCall }
  | { readonly type: 'engine'; readonly kind: string; readonly payload: JsonValue }
  | {
      readonly type: 'session_turn'
      readonly createRequest: JsonObject
      readonly turnInput: JsonValue
      readonly outputContract: JsonValue
    }
  | { readonly type: 'external'; readonly metadata: JsonValue }

/** How a process is displayed, and how lists are filtered. */
export interface ProcessIdentity {
  readonly kind: string
  readonly label?: string
  readonly definition?: JsonValue
}

const toolCallSchema: v.GenericSchema<unknown, PreparedToolCall> = strictSchema({
  callId: idSchema,
  toolId: idSchema,
  toolName: nameSchema,
  args: jsonSchema,
  replay: v.exactOptional(jsonSchema),
  prepared: jsonSchema,
})

/** The shape of a {@link ProcessInput}. */
export const inputSchema: v.GenericSchema<unknown, ProcessInput> = v.variant('type', [
  strictSchema({ type: v.literal('tool_call'), call: toolCallSchema }),
  strictSchema({ type: v.literal('engine'), kind: nameSchema, payload: jsonSchema }),
  strictSchema({
    type: v.literal('session_turn'),
    createRequest: jsonObjectSchema,
    turnInput: jsonSchema,
    outputContract: jsonSchema,
  }),
  strictSchema({ type: v.literal('external'), metadata: jsonSchema }),
])

/** The shape of a {@link ProcessIdentity}. */
export const identitySchema: v.GenericSchema<unknown, ProcessIdentity> = strictSchema({
  kind: nameSchema,
  label: v.exactOptional(nameSchema),
  definition: v.exactOptional(jsonSchema),
})

/** Whether executing the input needs a captured environment. Other inputs must have none. */
export function needsEnvironment({ type }: ProcessInput): boolean {
  return type === 'tool_call' || type === 'engine'
}

/** The default identity of a process. A label that is not a valid name is left out. */
export function identityOf(input: ProcessInput): ProcessIdentity {
  const label = labelOf(input)
  const isName = typeof label === 'string' && v.is(nameSchema, label)
  return { kind: kindOf(input), ...(isName && { label }) }
}

function kindOf(input: ProcessInput): string {
  switch (input.type) {
    case 'tool_call':
      return 'tool'
    case 'engine':
      return input.kind
    default:
      return input.type
  }
}

function labelOf(input: ProcessInput): JsonValue | undefined {
  switch (input.type) {
    case 'tool_call':
      return input.call.toolName
    case 'engine':
      return undefined
    case 'session_turn':
      return firstText(input.createRequest, ['subagentCapability', 'usageSource', 'sessionId'])
    case 'external':
      return isObject(input.metadata) ? firstText(input.metadata, ['label', 'name', 'title']) : undefined
  }
}

function firstText(value: JsonObject, keys: readonly string[]): JsonValue | undefined {
  return keys.map((key) => value[key]).find((found) => typeof found === 'string')
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
