import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import type { McpTasks } from '../door.js'
import { jsonSchemaOf, listingFault } from '../sdk/tool-definition.js'

/**
 * Registers the durable tools of a door on a server of SDK 1.x whose `taskStore` was made by {@link createTaskStore}.
 * The runtime executes their tasks. Arguments are checked when a task is created. A tool that asks a question fails,
 * because this protocol line has no answers to tasks. For hosts to see the tools' arguments, call this before the first
 * tool is registered, on a server whose options do not name the capability `tools`.
 */
export function registerTools(server: McpServer, door: McpTasks): void {
  listArguments(server, door)
  for (const [name, { tool, options }] of door.parts.tools) {
    const { title, description, annotations } = options
    const config = {
      ...(title !== undefined && { title }),
      ...(description !== undefined && { description }),
      ...(annotations !== undefined && { annotations }),
      execution: { taskSupport: tool.taskSupport },
    }
    server.experimental.tasks.registerToolTask(name, config, {
      createTask: async ({ taskStore, taskRequestedTtl }) => ({
        task: await taskStore.createTask(taskRequestedTtl === undefined ? {} : { ttl: taskRequestedTtl }),
      }),
      getTask: ({ taskStore, taskId }) => taskStore.getTask(taskId),
      getTaskResult: async ({ taskStore, taskId }) => ({ content: [], ...(await taskStore.getTaskResult(taskId)) }),
    })
  }
}

interface Listed {
  readonly tools: readonly { readonly name: string }[]
}

/** Makes SDK 1.x list the door's schemas, because it lists only schemas of zod. */
function listArguments({ server }: McpServer, door: McpTasks): void {
  const original = server.setRequestHandler.bind(server) as (...given: readonly unknown[]) => void
  const listing = (...given: readonly unknown[]): void => {
    const [schema, handler] = given
    if (schema !== ListToolsRequestSchema) return original(...given)
    original(schema, async (...request: readonly unknown[]) => {
      const listed = await (handler as (...request: readonly unknown[]) => Listed | Promise<Listed>)(...request)
      return { ...listed, tools: listed.tools.map((tool) => ({ ...tool, ...argumentsOf(door, tool.name) })) }
    })
  }
  server.setRequestHandler = listing
}

function argumentsOf({ parts: { tools } }: McpTasks, name: string): { readonly inputSchema?: object } {
  const schema = tools.get(name)?.options.inputSchema
  const isThere =
    schema !== undefined && 'jsonSchema' in schema['~standard'] && listingFault(schema, 'input') === undefined
  return isThere ? { inputSchema: { ...jsonSchemaOf(schema, 'input'), type: 'object' } } : {}
}
