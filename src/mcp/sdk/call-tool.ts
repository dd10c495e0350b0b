import { isInputRequiredResult, type ServerContext } from '@modelcontextprotocol/server'
import { InvalidInputError } from '../../base/errors.js'
import { McpError } from '../life/errors.js'
import { onAbort } from '../../base/abort.js'
import type { JsonValue } from '../../base/json.js'
import { silence } from '../../base/promises.js'
import { checkValue, encodeValue } from '../../work/values.js'
import { toolError } from '../life/results.js'
import type { DurableTool } from '../life/tool.js'
import { createdTask, hasEnded, type TaskState } from '../wire/detailed-task.js'
import { declaresTasks, questionsOf } from '../wire/capability.js'
import { internalError, invalidParams } from '../wire/errors.js'
import type { DetailedTask, ToolResult } from '../wire/shapes.js'
import { statusOf } from './companion-tools.js'
import {
  callerOf,
  capabilitiesOf,
  capabilityMissing,
  checkAuthorized,
  protocolError,
  requestOf,
  type DoorContext,
} from './request.js'
import type { McpToolOptions } from './tool-definition.js'

/** A durable tool as listed by the SDK and as called. */
export interface ListedTool {
  readonly tool: DurableTool
  readonly options: McpToolOptions
}

/** Whether a connection speaks the protocol revision with this extension's tasks. */
export type Era = 'modern' | 'legacy'

/** Answers `tools/call` of a durable tool: with a handle, or like any other tool if the host does not support tasks. */
export async function callTool(
  door: DoorContext,
  { tool, options }: ListedTool,
  given: unknown,
  ctx: ServerContext,
  era: Era,
): Promise<Record<string, unknown>> {
  const { life } = door
  const capabilities = capabilitiesOf(ctx)
  const isDeclared = era === 'modern' && declaresTasks(capabilities)
  if (era === 'modern' && !isDeclared && tool.taskSupport === 'required') throw capabilityMissing()
  const request = requestOf(ctx)
  await life.ready()
  const caller = await callerOf(door, request)
  await checkAuthorized(door, 'create', { tool: tool.name }, request)
  const subject = `arguments of ${tool.name}`
  let args: unknown = given ?? {}
  try {
    if (options.inputSchema !== undefined) args = await checkValue(options.inputSchema, args, subject)
  } catch (refusal) {
    return asAnswer(toolError(`Input validation error: ${argumentFault(tool, refusal)}`), era)
  }
  const early = await options.before?.(args, ctx)
  if (early !== undefined) {
    if (isInputRequiredResult(early)) return { ...early }
    if (!('args' in early)) return asAnswer(early as ToolResult, era)
    args = early.args
  }
  const isKnown = isDeclared || door.companionTools
  const key: unknown = isKnown ? await options.dedupe?.(args, request) : undefined
  if (key !== undefined && typeof key !== 'string') throw new McpError('mcp_key_invalid', { tool: tool.name })
  let kept: JsonValue
  try {
    // A definition checks its arguments itself, so it receives what the host sent.
    kept = encodeValue(tool.begin === undefined ? args : (given ?? {}), subject) ?? null
  } catch (refusal) {
    throw protocolError(invalidParams(argumentFault(tool, refusal)))
  }
  const state = await life.create({
    tool,
    args: kept,
    caller,
    questions: isDeclared ? questionsOf(capabilities) : allQuestions,
    ...(key !== undefined && { key }),
    ...(!isKnown && { isInline: true }),
  })
  if (!isKnown) return inline(door, state, ctx, era)
  const { inlineMs = 0 } = options
  if (!isDeclared) {
    if (inlineMs > 0) await life.until(state, (next) => next.place.value !== 'working', { timeoutMs: inlineMs })
    return asAnswer(statusOf(life.detailed((await life.read(state.taskId)) ?? state)), era)
  }
  const ended = inlineMs > 0 ? await life.until(state, hasEnded, { timeoutMs: inlineMs }) : undefined
  if (ended?.place.value === 'completed') return asAnswer(life.detailed(ended).result ?? {}, era)
  return { ...createdTask(life.detailed(ended ?? state)), resultType: 'task' }
}

/** Why arguments are refused: by their schema, or because JSON cannot hold what the schema has made of them. */
function argumentFault({ name }: DurableTool, refusal: unknown): string {
  if (!(refusal instanceof InvalidInputError)) throw refusal
  const { field, reason } = refusal.data
  return `Invalid arguments for tool ${name}: ${field.slice(0, 200)}: ${reason}`
}

/** The questions allowed in an inline call. Whether the client supports one shows only when it is asked. */
const allQuestions = ['elicitation/create', 'sampling/createMessage', 'roots/list'] as const

/**
 * Runs the same durable work for a host without task support: the request waits for the result, and the work ends with
 * the request.
 */
async function inline(
  { life }: DoorContext,
  state: TaskState,
  ctx: ServerContext,
  era: Era,
): Promise<Record<string, unknown>> {
  const { signal } = ctx.mcpReq
  const cancel = (): Promise<void> => life.cancel(state)
  const forget = onAbort(signal, () => void silence(cancel()))
  try {
    const reached = await life.until(state, (next) => next.place.value !== 'working', { signal })
    if (reached === undefined) throw protocolError(internalError('the task was lost'))
    if (reached.place.value === 'input_required') {
      await cancel()
      if (era === 'modern') throw capabilityMissing()
      return asAnswer(toolError('this tool needs to ask a question, and this host does not support tasks'), era)
    }
    return asInlineAnswer(life.detailed(reached), era)
  } catch (thrown) {
    if (signal.aborted) await cancel()
    throw thrown
  } finally {
    forget()
  }
}

function asInlineAnswer({ status, result, error }: DetailedTask, era: Era): Record<string, unknown> {
  if (status === 'completed') return asAnswer(result ?? {}, era)
  if (error !== undefined) throw protocolError(error)
  throw protocolError(internalError('the call was cancelled'))
}

/** The result as an answer. Clients of the older protocol line do not accept a result type. */
export function asAnswer(result: ToolResult, era: Era): Record<string, unknown> {
  if (era === 'modern') return { ...result, resultType: 'complete' }
  const { resultType: _, ...plain } = result
  return plain
}
