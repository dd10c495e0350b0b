import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import {
  acceptedContent,
  fromJsonSchema,
  inputRequired,
  McpServer,
  ProtocolError,
  type McpRequestContext,
} from '@modelcontextprotocol/server'
import type { McpTasks } from '../../../src/mcp/index.js'

const object = (properties: Record<string, object>, required: string[] = []) =>
  fromJsonSchema<Record<string, unknown>>({ type: 'object', properties, required })

const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] })

/** A question for some fields. */
export function ask(message: string, properties: Readonly<Record<string, object>>) {
  return {
    method: 'elicitation/create' as const,
    params: { mode: 'form', message, requestedSchema: { type: 'object', properties } },
  }
}

/** Tools for tests and for the suite of the protocol; what they do is written to a file, where one is given. */
export function defineTools(door: McpTasks, log?: string): void {
  const trace = (line: string): void => {
    if (log !== undefined) appendFileSync(log, `${line}\n`)
  }
  door.tool(
    'slow_compute',
    {
      description: 'sleeps',
      inputSchema: object({ seconds: { type: 'number' }, label: { type: 'string' } }),
    },
    async ({ seconds = 1, label = '' }, task) => {
      trace(`start ${String(label)} ${task.taskId} ${task.attempt}`)
      await task.status(`computing ${String(label)}`)
      await delay(Number(seconds) * 1000, undefined, { signal: task.signal })
      trace(`end ${String(label)} ${task.taskId} ${task.attempt}`)
      return text(`computed ${String(label)}`)
    },
  )
  door.tool(
    'once_only',
    { description: 'must not be repeated', recovery: 'report', inputSchema: object({ seconds: { type: 'number' } }) },
    async ({ seconds = 1 }, task) => {
      trace(`charge ${task.taskId} ${task.attempt}`)
      await delay(Number(seconds) * 1000, undefined, { signal: task.signal })
      return text('charged')
    },
  )
  door.tool('failing_job', { description: 'fails', taskSupport: 'required' }, async (_, task) => {
    await delay(50, undefined, { signal: task.signal })
    throw new Error('the job failed')
  })
  door.tool('protocol_error_job', { description: 'protocol error' }, async () => {
    await delay(50)
    throw new ProtocolError(-32603, 'exploded', { why: 'test' })
  })
  door.tool(
    'confirm_delete',
    { description: 'asks', inputSchema: object({ filename: { type: 'string' } }) },
    async ({ filename }, task) => {
      trace(`confirm ${task.taskId} ${task.attempt}`)
      const { confirm } = await task.input({
        confirm: ask(`delete ${String(filename)}?`, { confirm: { type: 'boolean' } }),
      })
      const { action } = confirm as { readonly action: string }
      return text(action === 'accept' ? `deleted ${String(filename)}` : 'kept')
    },
  )
  door.tool('multi_input', { description: 'asks twice at once' }, async (_, task) => {
    const answers = await task.input({
      first: ask('first', { name: { type: 'string' } }),
      second: ask('second', { name: { type: 'string' } }),
    })
    return text(JSON.stringify(answers))
  })
  door.tool(
    'structured',
    { description: 'has an output schema', outputSchema: object({ n: { type: 'number' } }, ['n']) },
    () => ({ ...text('{"n":1}'), structuredContent: { n: 1 } }),
  )
  door.tool(
    'test_tool_with_task',
    {
      description: 'asks before there is a task',
      taskSupport: 'required',
      before: (args, ctx) => {
        const got = acceptedContent(ctx.mcpReq.inputResponses, 'user_name')
        if (got !== undefined) return { args: { ...(args as object), name: got['name'] } }
        const requestedSchema = { type: 'object' as const, properties: { name: { type: 'string' as const } } }
        return inputRequired({
          inputRequests: { user_name: inputRequired.elicit({ message: 'name?', requestedSchema }) },
        })
      },
    },
    async (args) => {
      await delay(50)
      return text(`hello ${String((args as { name?: unknown }).name)}`)
    },
  )
  door.tool('external_job', { description: 'done elsewhere', recovery: 'external' }, () => text('never'))
}

/** A server with the tools of the door and a plain one. */
export function makeServer(door: McpTasks, context: Pick<McpRequestContext, 'era'>): McpServer {
  const server = door.attach(new McpServer({ name: 'stateward-test', version: '0.0.0' }), context)
  server.registerTool(
    'greet',
    { description: 'plain', inputSchema: object({ name: { type: 'string' } }) },
    ({ name }) => text(`Hello, ${String(name)}!`),
  )
  return server
}
