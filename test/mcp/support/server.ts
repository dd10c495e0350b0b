import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio'
import { createRuntime } from '../../../src/create-runtime.js'
import { createMcpTasks } from '../../../src/mcp/index.js'
import { defineTools, makeServer } from './tools.js'

/**
 * A server of the tools of ./tools.ts. Reads `DIRECTORY stdio|PORT [TRACE]`; over HTTP it prints `{"port":n}`. With
 * STATEWARD_KILL=TYPE:N it kills itself once the Nth event of a type is durable.
 */
const [dataDir = '', where = '0', trace] = process.argv.slice(2)
const runtime = await createRuntime({ dataDir })
const [killType, killCount = '1'] = (process.env['STATEWARD_KILL'] ?? '').split('=')
const door = createMcpTasks(runtime, { pollIntervalMs: 50 })
defineTools(door, trace)
if (killType !== '') {
  let left = Number(killCount)
  const seen = new Map<string, number>()
  runtime.processes.onChange((id) => {
    void (async () => {
      if ((await runtime.processes.store.getProcess(id))?.identity.kind !== 'mcp') return
      const from = seen.get(id) ?? 0
      const isNew = !seen.has(id)
      const events = await runtime.processes.store.eventsAfter(id, from)
      seen.set(id, events.at(-1)?.sequence ?? from)
      const types = [...(isNew ? ['registered'] : []), ...events.map(({ eventType }) => eventType)]
      for (const type of types) if (type === killType && (left -= 1) === 0) process.kill(process.pid, 'SIGKILL')
    })()
  })
}
await door.start()

if (where === 'stdio') {
  serveStdio((context) => makeServer(door, context), { transport: door.transport(new StdioServerTransport()) })
  process.stdin.on('end', () => void runtime.close({ policy: 'terminate', graceMs: 100 }))
} else {
  const face = door.fetch(createMcpHandler((context) => makeServer(door, context)))
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const given = new AbortController()
      outgoing.on('close', () => given.abort())
      const chunks: Buffer[] = []
      for await (const chunk of incoming) chunks.push(chunk as Buffer)
      const headers = new Headers()
      for (const [name, value] of Object.entries(incoming.headers))
        if (value !== undefined) headers.set(name, String(value))
      const request = new Request(`http://${incoming.headers.host ?? 'localhost'}${incoming.url ?? '/'}`, {
        method: incoming.method ?? 'GET',
        headers,
        ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
        signal: given.signal,
      })
      const token = incoming.headers.authorization?.replace('Bearer ', '')
      const auth = token === undefined ? {} : { authInfo: { token, clientId: token, scopes: [] } }
      const response = await face(request, auth)
      outgoing.writeHead(response.status, Object.fromEntries(response.headers))
      outgoing.flushHeaders()
      if (response.body === null) outgoing.end()
      else
        Readable.fromWeb(response.body as never)
          .on('error', () => {})
          .pipe(outgoing)
    })().catch((failure: unknown) => {
      appendFileSync(2, `${String(failure)}\n`)
      outgoing.destroy()
    })
  })
  server.listen(Number(where), '127.0.0.1', () => {
    const address = server.address()
    process.stdout.write(`${JSON.stringify({ port: typeof address === 'object' ? address?.port : 0 })}\n`)
  })
}
