import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { requestOverHttp } from '../../src/restate/http-request.js'
import { reasonOf } from '../../src/restate/ingress.js'

/** A server of its own, and how many connections it has had. */
async function serving(listener: RequestListener): Promise<{ url: string; connections: () => number }> {
  let connections = 0
  const server = createServer(listener).listen(0, '127.0.0.1')
  server.on('connection', () => (connections += 1))
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, connections: () => connections }
}

it('sends method, headers and body, and reads the whole response, one request after another over one connection', async () => {
  const { url, connections } = await serving((request, response) => {
    const { method, headers } = request
    response.statusCode = request.url === '/gone' ? 410 : 200
    response.write(`${method} ${headers['content-length'] ?? 'none'} ${String(headers['x-key'] ?? '')} `)
    request.pipe(response)
  })
  const body = new TextEncoder().encode('grüße')
  const sent = await requestOverHttp(`${url}/`, { method: 'POST', headers: { 'x-key': 'k' }, body })
  expect([sent.ok, sent.status, await sent.text()]).toEqual([true, 200, 'POST 7 k grüße'])
  const gone = await requestOverHttp(`${url}/gone`, {})
  const bytes = Buffer.from(await gone.arrayBuffer()).toString()
  expect([gone.ok, gone.status, bytes, connections()]).toEqual([false, 410, 'GET none  ', 1])
})

it('rejects with the reason of the signal, before it is sent and while it is answered', async () => {
  const abort = new AbortController()
  const reason = new Error('enough')
  const { url } = await serving((_, response) => {
    response.write('a part')
    abort.abort(reason)
  })
  await expect(requestOverHttp(url, { signal: abort.signal })).rejects.toBe(reason)
  await expect(requestOverHttp('http://127.0.0.1:1', { signal: abort.signal })).rejects.toBe(reason)
})

it('rejects when the connection breaks in the middle of a response, and says why one cannot be made', async () => {
  const { url } = await serving((_, response) => {
    response.setHeader('content-length', 100)
    response.write('a part', () => response.destroy())
  })
  await expect(requestOverHttp(url, {})).rejects.toThrow('aborted')
  // Two addresses, so the error has no message of its own.
  const refused = await requestOverHttp('http://localhost:1', {}).catch((thrown: unknown) => thrown)
  expect(reasonOf(refused)).toContain('ECONNREFUSED')
})
