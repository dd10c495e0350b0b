/** A client that follows a task across `kill -9` of its server: `npm run example:mcp`. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { DetailedTask } from 'stateward/mcp'

const directory = await mkdtemp(join(tmpdir(), 'stateward-mcp-'))
const extension = 'io.modelcontextprotocol/tasks'

async function start(): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'server.js'), directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
  const { port } = JSON.parse(line.toString()) as { readonly port: number }
  return { child, url: `http://127.0.0.1:${port}/mcp` }
}

/** Sends one request, as a host does, declaring that the client supports tasks. */
async function ask(url: string, method: string, params: Readonly<Record<string, unknown>>): Promise<DetailedTask> {
  const name = params['taskId'] ?? params['name']
  const envelope = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'example', version: '1.0.0' },
    'io.modelcontextprotocol/clientCapabilities': { elicitation: {}, extensions: { [extension]: {} } },
  }
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      'mcp-name': String(name),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: envelope } }),
  })
  const { result, error } = (await response.json()) as { readonly result?: DetailedTask; readonly error?: unknown }
  if (result === undefined) throw new Error(JSON.stringify(error))
  return result
}

async function until(url: string, taskId: string, status: string): Promise<DetailedTask> {
  for (;;) {
    const task = await ask(url, 'tasks/get', { taskId })
    if (task.status === status) return task
    await delay(task.pollIntervalMs ?? 1000)
  }
}

const first = await start()
const { taskId } = await ask(first.url, 'tools/call', { name: 'export', arguments: { table: 'orders' } })
console.log('a handle:', taskId)
await until(first.url, taskId, 'input_required')
console.log('it asks; the server is killed')
first.child.kill('SIGKILL')
await once(first.child, 'exit')

const second = await start()
console.log('a new server:', (await ask(second.url, 'tasks/get', { taskId })).status)
await ask(second.url, 'tasks/update', {
  taskId,
  inputResponses: { format: { action: 'accept', content: { csv: true } } },
})
console.log('the end:', JSON.stringify((await until(second.url, taskId, 'completed')).result))
second.child.kill()
await once(second.child, 'exit')
await rm(directory, { recursive: true })
