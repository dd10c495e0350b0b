import { ProtocolError, type AuthInfo, type ServerContext } from '@modelcontextprotocol/server'
import * as v from 'valibot'
import { faultFields } from '../../base/error-details.js'
import { InvalidInputError, StatewardError } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { McpError } from '../life/errors.js'
import type { Caller, TaskLife } from '../life/life.js'
import type { TaskState } from '../wire/detailed-task.js'
import { internalError, invalidParams, missingCapability, unknownTask, type WireError } from '../wire/errors.js'
import { clientCapabilitiesKey } from '../wire/names.js'
import { taskParamsSchema } from '../wire/shapes.js'
import type { HttpNotes } from './http-notes.js'

/** What is known of a request where a principal is asked for. */
export interface McpRequest {
  /** Who is logged in, as the service has told the SDK. */
  readonly authInfo?: AuthInfo
  /** The tool or method. */
  readonly method: string
}

/** What is done to a task. */
export type McpAction = 'create' | 'read' | 'answer' | 'cancel' | 'listen'

/** Who asks: text that is the same for the same person, and a name for people. */
export type Principal = string | { readonly principal: string; readonly display?: string }

/** Who may see a task. What it throws, and what is no principal, refuses the request. */
export type PrincipalOf = (request: McpRequest) => Principal | Promise<Principal>

/** Whether somebody may do something; `taskId` is absent for what is to be created. */
export type Authorize = (
  action: McpAction,
  task: { readonly taskId?: string; readonly tool: string },
  request: McpRequest,
) => boolean | Promise<boolean>

/** What all answers of the SDK's side stand on. */
export interface DoorContext {
  readonly life: TaskLife
  readonly logger: Logger
  readonly principal: PrincipalOf
  readonly authorize: Authorize | undefined
  readonly notes: HttpNotes
  /** Whether hosts that do not declare the extension have plain tools over tasks. */
  readonly companionTools: boolean
}

/** Without one, whoever is logged in with the same client, issuer and subject is the same; without a login everybody is. */
export const defaultPrincipal: PrincipalOf = ({ authInfo }) => {
  if (authInfo === undefined) return 'anonymous'
  const { clientId, extra = {} } = authInfo
  return JSON.stringify(['client', clientId, extra['iss'] ?? null, extra['sub'] ?? null])
}

/** What a request says of its client. */
export function capabilitiesOf(ctx: ServerContext): unknown {
  const envelope = ctx.mcpReq.envelope as Readonly<Record<string, unknown>> | undefined
  return envelope?.[clientCapabilitiesKey]
}

/** A request as principals are told from it. */
export function requestOf(ctx: ServerContext): McpRequest {
  const authInfo = ctx.http?.authInfo
  return { method: ctx.mcpReq.method, ...(authInfo !== undefined && { authInfo }) }
}

/** Who asks. A function that throws, or says nothing, refuses the request: nobody becomes anonymous by a fault. */
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

/** Raises `mcp_not_authorized`, or for what is there already the same as for what is not. */
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

/** The task that a request is about. First who asks, then the id. Rejects with `mcp_task_unknown`. */
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

/** An error of the wire as the SDK takes it. */
export function protocolError({ code, message, data }: WireError): ProtocolError {
  return ProtocolError.fromError(code, message, data)
}

/** The error of a request that does not declare the extension. */
export function capabilityMissing(): ProtocolError {
  return protocolError(missingCapability)
}

/** What a host is told of what went wrong here. */
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
  logger.warn({ ...faultFields(thrown) }, 'a request of MCP failed')
  return internalError('Internal error')
}

/** Does what a request asks for; whatever goes wrong leaves as an error of the protocol. */
export async function answering<Answer>({ logger }: DoorContext, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work()
  } catch (thrown) {
    if (thrown instanceof ProtocolError) throw thrown
    throw protocolError(wireErrorOf(thrown, logger))
  }
}
