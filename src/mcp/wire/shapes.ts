import * as v from 'valibot'
import type { JsonValue } from '../../base/json.js'
import type { McpTaskStatus } from '../../../machines/mcp-task.js'
import { questionMethods, type QuestionMethod } from './names.js'

/** A question of a task to its client, under a key of the task. */
export interface InputRequest {
  readonly method: QuestionMethod
  readonly params?: Readonly<Record<string, unknown>>
}

/** The result of a tool, as in the answer to `tools/call`. */
export interface ToolResult {
  readonly content?: readonly unknown[]
  readonly structuredContent?: unknown
  readonly isError?: boolean
  readonly [field: string]: unknown
}

/** A task as sent by `tasks/get` and notifications. */
export interface DetailedTask {
  readonly taskId: string
  readonly status: McpTaskStatus
  readonly statusMessage?: string
  readonly createdAt: string
  readonly lastUpdatedAt: string
  /** Milliseconds from `createdAt` for which it can be queried. `null` means forever. */
  readonly ttlMs: number | null
  readonly pollIntervalMs?: number
  readonly inputRequests?: Readonly<Record<string, InputRequest>>
  readonly result?: ToolResult
  readonly error?: TaskFault
}

/** Whether a value has a shape. */
export function fits<Value>(schema: v.GenericSchema<unknown, Value>, value: unknown): value is Value {
  return v.is(schema, value)
}

const objectSchema = v.looseObject({})
const taskIdSchema = v.pipe(v.string(), v.minLength(1), v.maxLength(256))

/** Params of `tasks/get`, `tasks/cancel` and `tasks/update`. Answers arrive separately. */
export const taskParamsSchema = v.looseObject({ taskId: taskIdSchema })

/** The part of the params of `subscriptions/listen` that concerns tasks. */
export const listenParamsSchema = v.looseObject({
  notifications: v.looseObject({ taskIds: v.pipe(v.array(v.string()), v.maxLength(10_000)) }),
  _meta: v.optional(objectSchema),
})

/** A question. Only its method is checked. */
export const inputRequestSchema: v.GenericSchema<unknown, InputRequest> = v.looseObject({
  method: v.picklist(questionMethods),
  params: v.exactOptional(v.record(v.string(), v.unknown())),
})

/** Shapes of answers, by the method that they answer. Their content is checked by the tool (M-15). */
const responseSchemas: Readonly<Record<QuestionMethod, v.GenericSchema>> = {
  'elicitation/create': v.looseObject({ action: v.picklist(['accept', 'decline', 'cancel']) }),
  'sampling/createMessage': v.looseObject({ role: v.string(), content: v.unknown(), model: v.string() }),
  'roots/list': v.looseObject({ roots: v.array(v.looseObject({ uri: v.string() })) }),
}

/** Whether an answer has the shape required by a method. */
export function fitsMethod(method: QuestionMethod, response: unknown): boolean {
  return v.is(responseSchemas[method], response)
}

/** The payload of a process that is a task. */
export interface TaskPayload {
  readonly v: 1
  readonly tool: string
  readonly args: JsonValue
  /** The kinds of questions that its client supports. */
  readonly questions: readonly QuestionMethod[]
  /** Who may see it, as a hash. */
  readonly principal: string
  /** The deduplication key, as a hash. */
  readonly key?: string
  /** The display name of the principal. */
  readonly display?: string
  readonly ttlMs: number | null
  readonly pollIntervalMs: number
  readonly createdAtMs: number
  readonly inputGraceMs: number
  /** Not a task of the extension: the call that created it waits for the result. */
  readonly isInline?: true
}

const naturalSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0))

/** The shape of a {@link TaskPayload}. */
export const taskPayloadSchema: v.GenericSchema<unknown, TaskPayload> = v.strictObject({
  v: v.literal(1),
  tool: v.string(),
  args: v.custom<JsonValue>((input) => input !== undefined),
  questions: v.array(v.picklist(questionMethods)),
  principal: v.string(),
  key: v.exactOptional(v.string()),
  display: v.exactOptional(v.string()),
  ttlMs: v.nullable(naturalSchema),
  pollIntervalMs: naturalSchema,
  createdAtMs: naturalSchema,
  inputGraceMs: naturalSchema,
  isInline: v.exactOptional(v.literal(true)),
})

/** The shape of a question event. */
export const questionSchema: v.GenericSchema<unknown, { readonly key: string; readonly request: InputRequest }> =
  v.strictObject({ key: v.string(), request: inputRequestSchema })

/** The shape of an answer signal. */
export const answerSchema: v.GenericSchema<unknown, { readonly key: string; readonly response: unknown }> =
  v.strictObject({ key: v.string(), response: v.unknown() })

/** The shape of a stored status text. */
export const statusSchema: v.GenericSchema<unknown, { readonly message: string }> = v.strictObject({
  message: v.string(),
})

/** The shape of a part of a result that is too large for one value. */
export const resultPartSchema: v.GenericSchema<
  unknown,
  { readonly attempt: number; readonly part: number; readonly text: string }
> = v.strictObject({ attempt: naturalSchema, part: naturalSchema, text: v.string() })

/** A protocol error, as the end of a task. */
export interface TaskFault {
  readonly code: number
  readonly message: string
  readonly data?: unknown
}

/** The shape of a {@link TaskFault}. */
export const faultSchema: v.GenericSchema<unknown, TaskFault> = v.strictObject({
  code: v.pipe(v.number(), v.safeInteger()),
  message: v.string(),
  data: v.exactOptional(v.unknown()),
})

/** The output of a completed process: the result itself, or the number of its parts in the log. */
export type TaskEnd = { readonly result: ToolResult } | { readonly parts: number; readonly attempt: number }

/** The shape of a {@link TaskEnd}. */
export const taskEndSchema = v.union([
  v.strictObject({ result: objectSchema }),
  v.strictObject({ parts: naturalSchema, attempt: naturalSchema }),
]) as v.GenericSchema<unknown, TaskEnd>

/** The shape of the event that the server itself ended an attempt. */
export const setAsideSchema: v.GenericSchema<unknown, { readonly attempt: number }> = v.strictObject({
  attempt: naturalSchema,
})
