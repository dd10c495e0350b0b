import fc from 'fast-check'
import { connect } from 'node:net'
import { once } from 'node:events'
import { runtimeRoutes, type HttpRoute } from 'stateward/http'
import * as v from 'valibot'
import { expect, it } from 'vitest'
import { ask } from '../examples/support/client.js'
import { endTasks, serve } from './support/serve.js'

const numRuns = process.env['STATEWARD_LONG'] === undefined ? 150 : 5000

const echo: HttpRoute = {
  method: 'POST',
  path: '/echo/:name',
  handle: async (call) => ({ status: 200, body: await call.json(v.looseObject({})) }),
}

const known = [
  'tasks',
  'completions',
  'sessions',
  'one',
  'operations',
  'status',
  'echo',
  '0199d2a0-0000-7000-8000-00000000dead',
]
const part = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...known) },
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => encodeURIComponent(text)),
  fc.string({ maxLength: 8 }).map((text) => text.replaceAll(/[^!-~]|#/g, '%')),
  fc.constantFrom('%', '%E0%A4', '..', '.', '', '%2e%2e', '%00', 'constructor', '__proto__', ':session'),
)
const query = fc.oneof(
  fc.constant(''),
  fc.tuple(fc.constantFrom('after', 'limit', 'status', 'kind', 'x'), part).map(([name, value]) => `?${name}=${value}`),
)
const target = fc.tuple(fc.array(part, { maxLength: 5 }), query).map(([parts, rest]) => `/${parts.join('/')}${rest}`)
const method = fc.constantFrom('GET', 'GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'TRACE')
const headerValue = fc.oneof(
  part.map((text) => text.replaceAll(/[^\x21-\x7e]/g, '')),
  fc.constantFrom('0', '1', '99999999999999999999', '-1', '1@x', 'null', 'http://evil.example', 'application/json'),
)
const headers = fc.dictionary(
  fc.constantFrom('last-event-id', 'origin', 'authorization', 'content-type', 'accept', 'x-forwarded-host'),
  headerValue,
  { maxKeys: 3 },
)
const body = fc.oneof(
  fc.constant(''),
  fc.json(),
  fc.string({ maxLength: 40 }),
  fc.constant('x'.repeat(2000)),
  fc.constant('{"__proto__":{"polluted":1}}'),
)

/** An answer of the service, or a stream that goes on. */
function expectSound(status: number, type: string | null | undefined, text: string): void {
  expect([200, 400, 403, 404, 405, 409, 410, 413, 414, 415]).toContain(status)
  if (type?.startsWith('text/event-stream') === true || text === '') return
  expect(type).toBe('application/json; charset=utf-8')
  const answer = JSON.parse(text) as object
  if (status >= 400)
    expect(answer).toEqual({ code: expect.any(String), message: expect.any(String), data: expect.anything() })
  expect(text).not.toMatch(/"stack"|node_modules|\.ts:/)
}

it('whatever is asked over Fetch is answered soundly, and nothing is left behind', { timeout: 120_000 }, async () => {
  const { handler, runtime, clock, faults } = await serve({
    unprotected: true,
    routes: [echo, ...runtimeRoutes],
    maxBodyBytes: 1000,
  })
  await endTasks(runtime, 2)
  runtime.session('one')
  await fc.assert(
    fc.asyncProperty(target, method, headers, body, async (path, given, init, text) => {
      if (given === 'TRACE') return
      const hasBody = given !== 'GET' && given !== 'HEAD'
      const request = new Request(`http://localhost${path}`, {
        method: given,
        headers: init,
        ...(hasBody && { body: text }),
      })
      const response = await handler.fetch(request)
      const type = response.headers.get('content-type')
      const isStream = type?.startsWith('text/event-stream') === true
      if (isStream) await response.body?.cancel()
      expectSound(response.status, type, isStream ? '' : await response.text())
      expect(clock.pendingTimeouts).toBe(0)
    }),
    { numRuns },
  )
  expect(faults).toEqual([])
  expect(Array.from(runtime.sessions())).toHaveLength(1)
  expect({}).not.toHaveProperty('polluted')
})

it('whatever bytes come over a connection, the service answers or hangs up, and goes on', {
  timeout: 120_000,
}, async () => {
  const { at, runtime, clock, faults, connections } = await serve({
    unprotected: true,
    routes: [echo, ...runtimeRoutes],
    maxBodyBytes: 1000,
  })
  await endTasks(runtime, 2)
  runtime.session('one')
  const { port } = new URL(at('/'))
  await fc.assert(
    fc.asyncProperty(target, method, headers, body, fc.boolean(), async (path, given, init, text, isCut) => {
      const lines = Object.entries(init).map(([name, value]) => `${name}: ${value}\r\n`)
      const head = `${given} ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${lines.join('')}`
      const bytes = Buffer.from(`${head}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => {})
      let received = ''
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        received += chunk
        // A stream does not end by itself.
        if (received.includes('text/event-stream') && received.includes('\r\n\r\n')) socket.destroy()
      })
      if (isCut) socket.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => socket.destroy())
      else socket.write(bytes)
      await once(socket, 'close')
      if (isCut) return
      const [, status = ''] = /^HTTP\/1\.1 (\d{3})/.exec(received) ?? []
      expect(status).not.toBe('')
      expect(Number(status)).toBeLessThan(500)
    }),
    { numRuns },
  )
  await expect.poll(connections).toBe(0)
  expect(clock.pendingTimeouts).toBe(0)
  expect(faults).toEqual([])
  expect((await ask('GET', at('/status'))).status).toBe(200)
})
