import type { McpRequestContext, McpServer, ServerContext } from '@modelcontextprotocol/server'
import { McpError } from '../life/errors.js'
import type { PollGate } from '../life/limits.js'
import { tasksExtension } from '../wire/names.js'
import { asAnswer, callTool, type Era, type ListedTool } from './call-tool.js'
import { callCompanion, companionTools, registerCompanions } from './companion-tools.js'
import { serveMethods } from './methods.js'
import { answering, type DoorContext } from './request.js'

interface CallToolRequest {
  readonly params: { readonly name: string; readonly arguments?: unknown }
}

type CallHandler = (request: never, ctx: ServerContext) => unknown

/**
 * Adds the durable tools and task methods to a server that is not connected and has no tools yet. The server refers to
 * the door, the door does not refer to the server.
 */
export function attach(
  mcp: McpServer,
  { era }: Pick<McpRequestContext, 'era'>,
  door: DoorContext,
  tools: ReadonlyMap<string, ListedTool>,
  gate: PollGate | undefined,
): McpServer {
  const { server } = mcp
  try {
    server.assertCanSetRequestHandler('tools/call')
  } catch (cause) {
    throw new McpError('mcp_attached_too_late', {}, { cause })
  }
  if (era === 'modern') server.registerCapabilities({ extensions: { [tasksExtension]: {} } })
  routeCalls(server, door, tools, era, gate)
  if (door.companionTools) registerCompanions(mcp, unreachable)
  for (const [name, { options }] of tools) {
    const { title, description, inputSchema, outputSchema, annotations, _meta } = options
    const config = {
      ...(title !== undefined && { title }),
      ...(description !== undefined && { description }),
      ...(inputSchema !== undefined && { inputSchema }),
      // A text that names a task would not match the schema.
      ...(outputSchema !== undefined && !door.companionTools && { outputSchema }),
      ...(annotations !== undefined && { annotations }),
      ...(_meta !== undefined && { _meta }),
    }
    mcp.registerTool(name, config as { readonly description?: string }, unreachable)
  }
  if (era === 'modern') serveMethods(mcp, door, gate)
  return mcp
}

/** Routes calls of durable tools here, and all others to the server. */
function routeCalls(
  server: McpServer['server'],
  door: DoorContext,
  tools: ReadonlyMap<string, ListedTool>,
  era: Era,
  gate: PollGate | undefined,
): void {
  const original = server.setRequestHandler.bind(server) as (...given: readonly unknown[]) => void
  const routed = (method: string, ...given: readonly unknown[]): void => {
    const [handler, ...more] = given
    if (method !== 'tools/call' || typeof handler !== 'function' || more.length > 0) return original(method, ...given)
    original(method, (request: CallToolRequest, ctx: ServerContext) => {
      const { name, arguments: args } = request.params
      const companion = door.companionTools ? companionTools.get(name) : undefined
      if (companion !== undefined)
        return callCompanion(door, companion, args, ctx, gate).then((result) => asAnswer(result, era))
      const listed = tools.get(name)
      if (listed === undefined) return (handler as CallHandler)(request as never, ctx)
      return answering(door, () => callTool(door, listed, args, ctx, era))
    })
  }
  server.setRequestHandler = routed
}

/** The function of a listed tool. Never called, because calls are routed before they reach the SDK. */
function unreachable(): never {
  throw new TypeError('calls of durable tools are answered by the door')
}
