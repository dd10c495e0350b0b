import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { McpTasks } from '../door.js'

/**
 * Registers the durable tools of a door on a server of SDK 1.x, whose `taskStore` is that of {@link createTaskStore}: their tasks are
 * run by the runtime. Arguments are checked when the task is made. A tool that asks something ends with an error there: this
 * line of the protocol has no answers to tasks.
 */
export function registerTools(server: McpServer, door: McpTasks): void {
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
