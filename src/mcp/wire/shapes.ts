import * as v from 'valibot'
import type { JsonValue } from '../../base/json.js'
import type { McpTaskStatus } from '../../../machines/mcp-task.js'
import { questionMethods, type QuestionMethod } from './names.js'

/** A request that a task makes of its client, under a key of the task. */
export interface InputRequest {
  readonly method: QuestionMethod
  readonly params?: Readonly<Record<string, unknown>>
}

/** What a tool has come to, as `tools/call` answers it. */
export interface ToolResult {
  readonly content?: readonly unknown[]
  readonly structuredContent?: unknown
  readonly isError?: boolean
  readonly [field: string]: unknown
}

/** A task as `tasks/get` and notifications tell it. */
export interface DetailedTask {
  readonly taskId: string
  readonly status: McpTaskStatus
  readonly statusMessage?: string
  readonly createdAt: string
  readonly lastUpdatedAt: string
  /** Milliseconds from `createdAt` for which it can be asked for; `null`: for ever. */
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

/** Params of `tasks/get`, `tasks/cancel` and `tasks/update`; answers come beside them. */
export const taskParamsSchema = v.looseObject({ taskId: taskIdSchema })

/** Params of `subscriptions/listen`, as far as they are about tasks. */
export const listenParamsSchema = v.looseObject({
  notifications: v.looseObject({ taskIds: v.pipe(v.array(v.string()), v.maxLength(10_000)) }),
  _meta: v.optional(objectSchema),
})

/** A question, of which nothing but its method is looked at. */
export const inputRequestSchema: v.GenericSchema<unknown, InputRequest> = v.looseObject({
  method: v.picklist(questionMethods),
  params: v.exactOptional(v.record(v.string(), v.unknown())),
})

/** Answers by the method that they answer: their shape alone, because what is in them is the tool's affair (M-15). */
const responseSchemas: Readonly<Record<QuestionMethod, v.GenericSchema>> = {
  'elicitation/create': v.looseObject({ action: v.picklist(['accept', 'decline', 'cancel']) }),
  'sampling/createMessage': v.looseObject({ role: v.string(), content: v.unknown(), model: v.string() }),
  'roots/list': v.looseObject({ roots: v.array(v.looseObject({ uri: v.string() })) }),
}

/** Whether an answer has the shape of one to a method. */
export function fitsMethod(method: QuestionMethod, response: unknown): boolean {
  return v.is(responseSchemas[method], response)
}

/** What a process is registered with so that it is a task. */
export interface TaskPayload {
  readonly v: 1
  readonly tool: string
  readonly args: JsonValue
  /** What its client may be asked for. */
  readonly questions: readonly QuestionMethod[]
  /** Who may see it, as a hash. */
  readonly principal: string
  /** Under which a repeat of the call is the same task, as a hash. */
  readonly key?: string
  /** A name of that for people. */
  readonly display?: string
  readonly ttlMs: number | null
  readonly pollIntervalMs: number
  readonly createdAtMs: number
  readonly inputGraceMs: number
  /** No task of the extension: awaited by the call that made it. */
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

/** The shape of what a question's event holds. */
export const questionSchema: v.GenericSchema<unknown, { readonly key: string; readonly request: InputRequest }> =
  v.strictObject({ key: v.string(), request: inputRequestSchema })

/** The shape of what an answer's signal holds. */
export const answerSchema: v.GenericSchema<unknown, { readonly key: string; readonly response: unknown }> =
  v.strictObject({ key: v.string(), response: v.unknown() })

/** The shape of a status text that is kept. */
export const statusSchema: v.GenericSchema<unknown, { readonly message: string }> = v.strictObject({
  message: v.string(),
})

/** The shape of a part of a result that is too large for one value. */
export const resultPartSchema: v.GenericSchema<
  unknown,
  { readonly attempt: number; readonly part: number; readonly text: string }
> = v.strictObject({ attempt: naturalSchema, part: naturalSchema, text: v.string() })

/** An error of the protocol, as a task ends with it. */
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

/** What a process has completed with: the result itself, or how many parts of it stand in the log. */
export type TaskEnd = { readonly result: ToolResult } | { readonly parts: number; readonly attempt: number }

/** The shape of a {@link TaskEnd}. */
export const taskEndSchema = v.union([
  v.strictObject({ result: objectSchema }),
  v.strictObject({ parts: naturalSchema, attempt: naturalSchema }),
]) as v.GenericSchema<unknown, TaskEnd>

/** The shape of the note that the server itself has ended an attempt. */
export const setAsideSchema: v.GenericSchema<unknown, { readonly attempt: number }> = v.strictObject({
  attempt: naturalSchema,
})
