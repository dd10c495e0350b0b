import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import type { McpTasks } from '../door.js'
import { jsonSchemaOf, listingFault } from '../sdk/tool-definition.js'

/**
 * Registers the durable tools of a door on a server of SDK 1.x, whose `taskStore` is that of {@link createTaskStore}: their tasks are
 * run by the runtime. Arguments are checked when the task is made. A tool that asks something ends with an error there: this
 * line of the protocol has no answers to tasks. Their arguments are listed to hosts when this comes before the first tool, on a server
 * whose options name no capability `tools`.
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

/** SDK 1.x lists schemas of zod alone: what it lists is given those of the door. */
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
