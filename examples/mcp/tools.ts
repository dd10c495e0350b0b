import { setTimeout as delay } from 'node:timers/promises'
import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server'
import { createRuntime } from 'stateward'
import { createMcpTasks, elicit, type FetchFace } from 'stateward/mcp'

const exportSchema = fromJsonSchema<{ readonly table: string }>({
  type: 'object',
  properties: { table: { type: 'string' } },
  required: ['table'],
})

/** A runtime with a tool that takes long, asks a question, and survives its server. */
export async function openDoor(dataDir: string) {
  const runtime = await createRuntime({ dataDir })
  const door = createMcpTasks(runtime, { pollIntervalMs: 200 })
  door.tool('export', { description: 'Exports a table', inputSchema: exportSchema }, async ({ table }, task) => {
    // Done once, even if this attempt is interrupted: the result is on disk before it is returned.
    const rows = await task.once('count', () => countRows(table))
    await task.status(`${rows} rows to export`)
    const { format } = await task.input({
      format: elicit('CSV?', { type: 'object', properties: { csv: { type: 'boolean' } } }),
    })
    const { action } = format as { readonly action: string }
    if (action !== 'accept') return { content: [{ type: 'text', text: 'nothing was exported' }] }
    await delay(500, undefined, { signal: task.signal })
    return { content: [{ type: 'text', text: `${rows} rows of ${table} are exported` }] }
  })
  await door.start()
  const close = async (): Promise<void> => {
    door.close()
    await runtime.close()
  }
  return { door, close }
}

/** Handles requests of Streamable HTTP: pass it to any server that speaks Fetch. */
export function faceOf({ door }: Awaited<ReturnType<typeof openDoor>>): FetchFace {
  const info = { name: 'exporter', version: '1.0.0' }
  return door.fetch(createMcpHandler((context) => door.attach(new McpServer(info), context)))
}

function countRows(table: string): number {
  return table.length * 100
}
