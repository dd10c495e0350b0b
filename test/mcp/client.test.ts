import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { createTaskSessionFromClient } from '@modelcontextprotocol/ext-tasks/client'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { compileChild, type CompiledChild } from '../journal/support/compiled-child.js'
import { accepted, openPlace, type Place } from './support/place.js'
import { startStdio } from './support/wire-client.js'

/** Serves a place over HTTP, on a port that is free. */
async function serve(place: Place): Promise<string> {
  const server: Server = createServer((incoming, outgoing) => {
    void (async () => {
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
      const headers = new Headers()
      for (const [name, value] of Object.entries(incoming.headers)) headers.set(name, String(value))
      const body = chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}
      const request = new Request(`http://127.0.0.1${incoming.url ?? '/'}`, {
        method: incoming.method ?? 'GET',
        headers,
        ...body,
      })
      const response = await place.face(request)
      outgoing.writeHead(response.status, Object.fromEntries(response.headers))
      if (response.body === null) outgoing.end()
      else
        Readable.fromWeb(response.body as never)
          .on('error', () => {})
          .pipe(outgoing)
    })().catch(() => {
      // The client has left, or the place is closed while a request is on its way.
      outgoing.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
}

const clientInfo = { name: 'official', version: '1.0.0' }
const capabilities = { elicitation: { form: {} } }

/** The official client refuses results that are tasks by itself: its extension asks the host for the wire. */
function dispatchTo(url: string) {
  let id = 10_000
  return async (
    request: { readonly method: string; readonly params?: Record<string, unknown> | undefined },
    options: { readonly context?: { readonly headers?: Readonly<Record<string, string>> } | undefined } = {},
  ): Promise<never> => {
    const name = request.params?.['taskId'] ?? request.params?.['name']
    const headers = new Headers({
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': request.method,
      ...(typeof name === 'string' && { 'mcp-name': name }),
    })
    for (const [key, value] of Object.entries(options.context?.headers ?? {})) headers.set(key, value)
    id += 1
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: JSON.stringify({ jsonrpc: '2.0', id, ...request }),
    })
    const body = (await response.json()) as { readonly result?: unknown; readonly error?: unknown }
    return (
      body.error === undefined ? { kind: 'result', result: body.result } : { kind: 'error', error: body.error }
    ) as never
  }
}

async function connect(url: string, onInputRequest: () => Promise<unknown>) {
  const client = new Client(clientInfo, {
    capabilities: { ...capabilities, extensions: { 'io.modelcontextprotocol/tasks': {} } },
    versionNegotiation: { mode: 'auto' },
  } as never)
  await client.connect(new StreamableHTTPClientTransport(new URL(url)))
  onTestFinished(() => client.close())
  return createTaskSessionFromClient(
    client as never,
    {
      endpointId: 'test',
      rawDispatch: dispatchTo(url),
      v2RequestFraming: { protocolVersion: '2026-07-28', clientInfo, clientCapabilities: capabilities },
      onInputRequest,
    } as never,
  )
}

describe('the official client and its extension', () => {
  it('follow tasks to their ends, answer, cancel, and resume after a restart [M-4] [M-40]', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'stateward-mcp-client-'))
    onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
    const first = await openPlace({ runtime: { dataDir } })
    const never = () => new Promise<never>(() => {})
    const session = await connect(await serve(first), never)
    const references: Record<string, unknown> = {}
    for (const [label, name, args] of [
      ['done', 'slow_compute', { seconds: 0, label: 'D' }],
      ['ask', 'confirm_delete', { filename: 'x' }],
      ['gone', 'slow_compute', { seconds: 60 }],
    ] as const) {
      const execution = await session.callTool(name, args)
      references[label] = (execution as never as { serializeReference(): unknown }).serializeReference()
      if (label === 'gone') await (execution as never as { cancel(): Promise<void> }).cancel()
      await (execution as never as { detach(): Promise<void> }).detach()
    }
    await first.close()
    const second = await openPlace({ runtime: { dataDir } })
    const again = await connect(await serve(second), () => Promise.resolve(accepted({ confirm: true })))
    const outcomeOf = async (label: string): Promise<{ readonly status: string; readonly result?: unknown }> => {
      const resumed = await again.resumeTask(references[label] as never)
      const { outcome } = await resumed.settle()
      return outcome
    }
    expect(await outcomeOf('done')).toMatchObject({
      status: 'completed',
      result: { content: [{ text: 'computed D' }] },
    })
    expect(await outcomeOf('ask')).toMatchObject({ status: 'completed', result: { content: [{ text: 'deleted x' }] } })
    expect((await outcomeOf('gone')).status).toBe('cancelled')
  })
})

describe('over stdio', () => {
  let program: CompiledChild
  beforeAll(async () => {
    program = await compileChild('server', 'test/mcp/support')
  })
  afterAll(() => program.remove())

  it('tasks are listened to, and go on when the server is started again [M-29] [M-31] [M-40]', async () => {
    const home = mkdtempSync(join(tmpdir(), 'stateward-mcp-stdio-'))
    onTestFinished(() => rmSync(home, { recursive: true, force: true }))
    const started = { directory: join(home, 'journal'), trace: join(home, 'trace') }
    const first = await startStdio(program, started)
    const { result } = await first.call('tools/call', { name: 'confirm_delete', arguments: { filename: 's' } })
    const taskId = result?.taskId ?? ''
    void first.call('subscriptions/listen', { notifications: { taskIds: [taskId, 'nobody'] } }).catch(() => undefined)
    const statusesOf = () => first.notes.map(({ method, params }) => [method, (params as { status?: string }).status])
    while (!JSON.stringify(statusesOf()).includes('input_required'))
      await new Promise((resolve) => setTimeout(resolve, 5))
    expect(first.notes[0]).toMatchObject({ params: { notifications: { taskIds: [taskId] } } })
    await first.kill()
    const second = await startStdio(program, started)
    expect((await second.call('tasks/get', { taskId })).result?.status).toBe('input_required')
    const ended = second.call('subscriptions/listen', { notifications: { taskIds: [taskId] } })
    await second.call('tasks/update', { taskId, inputResponses: { confirm: accepted({}) } })
    expect((await ended).result?.resultType).toBe('complete')
    expect(second.notes.at(-1)).toMatchObject({ method: 'notifications/tasks', params: { status: 'completed' } })
    second.child.stdin?.end()
    await second.gone
    expect(second.child.exitCode).toBe(0)
  })
})
