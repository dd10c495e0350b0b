import { ProtocolError, type AuthInfo, type ServerContext } from '@modelcontextprotocol/server'
import * as v from 'valibot'
import { faultFields } from '../../base/error-details.js'
import { InvalidInputError, StatewardError } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { McpError } from '../life/errors.js'
import type { Caller } from '../life/creation.js'
import type { TaskLife } from '../life/life.js'
import type { TaskState } from '../wire/detailed-task.js'
import { internalError, invalidParams, missingCapability, unknownTask, type WireError } from '../wire/errors.js'
import { clientCapabilitiesKey } from '../wire/names.js'
import { taskParamsSchema } from '../wire/shapes.js'
import type { HttpNotes } from './http-notes.js'

/** The request data from which the principal is determined. */
export interface McpRequest {
  /** The login, as given to the SDK by the service. */
  readonly authInfo?: AuthInfo
  /** The tool or method. */
  readonly method: string
}

/** What is done to a task. */
export type McpAction = 'create' | 'read' | 'answer' | 'cancel' | 'listen'

/** Identifies the caller: a text that is always the same for the same person, optionally with a display name. */
export type Principal = string | { readonly principal: string; readonly display?: string }

/** Determines the principal of a request. If it throws or returns something invalid, the request is refused. */
export type PrincipalOf = (request: McpRequest) => Principal | Promise<Principal>

/** Whether the caller may do something. `taskId` is absent when a task is created. */
export type Authorize = (
  action: McpAction,
  task: { readonly taskId?: string; readonly tool: string },
  request: McpRequest,
) => boolean | Promise<boolean>

/** What all handlers on the SDK's side share. */
export interface DoorContext {
  readonly life: TaskLife
  readonly logger: Logger
  readonly principal: PrincipalOf
  readonly authorize: Authorize | undefined
  readonly notes: HttpNotes
  /** Whether hosts that do not declare the extension get plain tools for tasks. */
  readonly companionTools: boolean
}

/** The default: callers with the same client, issuer and subject are the same. Without a login, all callers are. */
export const defaultPrincipal: PrincipalOf = ({ authInfo }) => {
  if (authInfo === undefined) return 'anonymous'
  const { clientId, extra = {} } = authInfo
  return JSON.stringify(['client', clientId, extra['iss'] ?? null, extra['sub'] ?? null])
}

/** The client capabilities declared in a request. */
export function capabilitiesOf(ctx: ServerContext): unknown {
  const envelope = ctx.mcpReq.envelope as Readonly<Record<string, unknown>> | undefined
  return envelope?.[clientCapabilitiesKey]
}

/** The data of a request from which its principal is determined. */
export function requestOf(ctx: ServerContext): McpRequest {
  const authInfo = ctx.http?.authInfo
  return { method: ctx.mcpReq.method, ...(authInfo !== undefined && { authInfo }) }
}

/**
 * The caller of a request. If the function throws or returns nothing, the request is refused, so that no fault makes a
 * caller anonymous.
 */
export async function callerOf({ principal }: DoorContext, request: McpRequest): Promise<Caller> {
  let said: Principal
  try {
    said = await principal(request)
  } catch (cause) {
    throw new McpError('mcp_principal_failed', {}, { cause })
  }
  const caller = typeof said === 'string' ? { principal: said } : said
  if (typeof caller?.principal !== 'string' || caller.principal === '') throw new McpError('mcp_principal_failed', {})
  const { display } = caller
  return { principal: caller.principal, ...(typeof display === 'string' && { display: display.slice(0, 200) }) }
}

/** Raises `mcp_not_authorized`. For an existing task, the error is the same as for a missing one. */
export async function checkAuthorized(
  { authorize }: DoorContext,
  action: McpAction,
  task: { readonly taskId?: string; readonly tool: string },
  request: McpRequest,
): Promise<void> {
  if (authorize === undefined || (await authorize(action, task, request))) return
  throw task.taskId === undefined
    ? new McpError('mcp_not_authorized', { action })
    : new McpError('mcp_task_unknown', {})
}

/** The task of a request. Determines the caller first, then checks the id. Rejects with `mcp_task_unknown`. */
export async function taskAsked(
  door: DoorContext,
  action: McpAction,
  params: unknown,
  ctx: ServerContext,
): Promise<TaskState> {
  const request = requestOf(ctx)
  await door.life.ready()
  const caller = await callerOf(door, request)
  if (!v.is(taskParamsSchema, params)) throw protocolError(invalidParams('Invalid params: taskId is missing'))
  const state = await door.life.find(params.taskId, caller)
  await checkAuthorized(door, action, { taskId: state.taskId, tool: state.payload.tool }, request)
  return state
}

/** A wire error as the SDK expects it. */
export function protocolError({ code, message, data }: WireError): ProtocolError {
  return ProtocolError.fromError(code, message, data)
}

/** The error for a request that does not declare the extension. */
export function capabilityMissing(): ProtocolError {
  return protocolError(missingCapability)
}

/** The wire error that a host receives for a thrown error. */
export function wireErrorOf(thrown: unknown, logger: Logger): WireError {
  if (thrown instanceof ProtocolError)
    return { code: thrown.code, message: thrown.message, ...(thrown.data !== undefined && { data: thrown.data }) }
  if (StatewardError.is(thrown, 'mcp_task_unknown')) return unknownTask
  if (StatewardError.is(thrown, 'mcp_limit_reached')) {
    const { retryAfterMs } = thrown.data as { readonly retryAfterMs?: number }
    return internalError('too many tasks', retryAfterMs === undefined ? undefined : { retryAfterMs })
  }
  if (StatewardError.is(thrown, 'mcp_too_large') || StatewardError.is(thrown, 'mcp_answer_invalid'))
    return invalidParams((thrown as Error).message)
  if (StatewardError.is(thrown, 'process.registration_invalid')) return invalidParams('the arguments cannot be kept')
  if (thrown instanceof InvalidInputError) return invalidParams('Invalid params')
  if (StatewardError.is(thrown, 'mcp_not_authorized')) return internalError('not authorized')
  if (StatewardError.is(thrown, 'mcp_closed')) return internalError('the server is going down')
  logger.warn({ ...faultFields(thrown) }, 'an MCP request failed')
  return internalError('Internal error')
}

/** Handles a request. Every error leaves as a protocol error. */
export async function answering<Answer>({ logger }: DoorContext, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work()
  } catch (thrown) {
    if (thrown instanceof ProtocolError) throw thrown
    throw protocolError(wireErrorOf(thrown, logger))
  }
}
