import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createRuntime } from 'stateward'
import { createHttpHandler, runtimeRoutes, taskIdOf, type HttpEvent, type HttpRoute } from 'stateward/http'
import * as v from 'valibot'
import { expect, it, onTestFinished } from 'vitest'
import { ask, openStream } from '../examples/support/client.js'
import { serve } from './support/serve.js'

const answer: HttpRoute = {
  method: 'POST',
  path: '/tasks/:task/answers/:name',
  handle: async (call) => {
    const { value } = await call.json(v.strictObject({ value: v.unknown() }))
    await call.runtime.tasks.answer(taskIdOf(call), call.params['name'] ?? '', value)
    return { status: 200, body: {} }
  },
}

async function listen(serveRequest: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(serveRequest).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

it('a route of its own is protected and bounded like the others, and comes before them', async () => {
  const token = 'a-token-of-some-length'
  const health: HttpRoute = { method: 'GET', path: '/status', handle: () => ({ status: 200, body: { own: true } }) }
  const { at, fetch, runtime } = await serve({ token, routes: [answer, health, ...runtimeRoutes], maxBodyBytes: 100 })
  const headers = { authorization: `Bearer ${token}` }
  runtime.tasks.handle('ask', ({ waitFor }) => waitFor('approval', v.boolean()))
  const { id } = await runtime.tasks.submit('ask')
  const path = `/tasks/${id}/answers/approval`
  expect((await ask('POST', at(path), { json: { value: true } })).status).toBe(401)
  expect((await ask('GET', at(path), { headers })).headers.allow).toBe('POST')
  const post = (text: string, more = {}) => ask('POST', at(path), { text, headers: { ...headers, ...more } })
  expect(await post('{"value":true,"x":1}')).toMatchObject({ status: 400, body: { data: { field: 'x' } } })
  expect(await post('[]')).toMatchObject({ status: 400, body: { data: { field: '$' } } })
  expect(await post(JSON.stringify({ value: 'x'.repeat(100) }))).toMatchObject({ body: { code: 'body_too_large' } })
  expect(await post('{}', { 'content-type': 'text/plain' })).toMatchObject({ body: { code: 'unsupported_media_type' } })
  const large = { method: 'POST', body: 'x'.repeat(101), headers: { ...headers, 'content-type': 'application/json' } }
  expect([(await fetch(path, large)).status, (await fetch(path, { ...large, body: '{' })).status]).toEqual([413, 400])
  expect((await post('{"value":true}')).status).toBe(200)
  expect(await runtime.tasks.find('ask', id)?.result()).toBe(true)
  expect(await post('{"value":true}')).toMatchObject({ status: 409, body: { code: 'answer_too_late' } })
  expect((await ask('GET', at('/status'), { headers })).body).toEqual({ own: true })
})

it('what a route throws is told by its code, or not at all', async () => {
  const route = (name: string, handle: HttpRoute['handle']): HttpRoute => ({ method: 'GET', path: `/${name}`, handle })
  async function* broken(): AsyncGenerator<HttpEvent> {
    yield { event: 'first', data: 1 }
    throw new Error('in the middle')
  }
  async function* forged(): AsyncGenerator<HttpEvent> {
    yield { event: 'first\ndata: forged', data: 1 }
  }
  const { at, fetch, faults } = await serve({
    unprotected: true,
    routes: [
      route('throws', () => {
        throw new TypeError('secret')
      }),
      route('circle', () => ({ status: 200, body: circle })),
      route('stream', () => ({ status: 200, events: broken() })),
      route('nothing', () => undefined as never),
      route('status', () => ({ status: 99, body: {} })),
      route('forged', () => ({ status: 200, events: forged() })),
      route('silent', () => ({ status: 200, events: { [Symbol.asyncIterator]: () => ({ next: never }) } })),
    ],
  })
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  const never = () => new Promise<never>(() => {})
  const internal = { code: 'internal', message: expect.any(String), data: {} }
  for (const path of ['/throws', '/circle', '/nothing', '/status']) {
    expect(await ask('GET', at(path))).toMatchObject({ status: 500, body: internal })
    expect(await (await fetch(path)).json()).toEqual(internal)
  }
  const stream = await openStream(at('/stream'))
  await expect(stream.ended).rejects.toThrow('aborted')
  expect(faults.length).toBe(9)
  // What would be read as two fields is none.
  await expect((await openStream(at('/forged'))).ended).rejects.toThrow('aborted')
  expect(JSON.stringify(faults)).toContain('secret')
  // Events that never answer and heed no signal hold nobody up.
  const silent = await openStream(at('/silent'))
  silent.destroy()
  await (await fetch('/silent')).body?.cancel()
})

it('passes on what is not its own, below a base path or where a framework has taken that away', async () => {
  await using runtime = await createRuntime()
  const below = createHttpHandler({ runtime, unprotected: true, basePath: '/api/stateward' })
  const mounted = createHttpHandler({ runtime, unprotected: true })
  const url = await listen((request, response) => {
    const next = (): void => void response.end(JSON.stringify({ next: request.url }))
    // As Express does for `app.use('/mounted', mounted.node)`.
    if (request.url?.startsWith('/mounted') === true) {
      request.url = request.url.slice('/mounted'.length)
      mounted.node(request, response, next)
    } else {
      below.node(request, response, next)
    }
  })
  const bodyOf = async (path: string) => (await ask('GET', `${url}${path}`)).body
  expect(await bodyOf('/api/stateward/status')).toMatchObject({ status: 'ok' })
  expect(await bodyOf('/mounted/status?x=1')).toMatchObject({ status: 'ok' })
  expect(await bodyOf('/status')).toEqual({ next: '/status' })
  expect(await bodyOf('/api/statewardship/status')).toEqual({ next: '/api/statewardship/status' })
  expect(await bodyOf('/api/stateward')).toEqual({ next: '/api/stateward' })
  expect(await bodyOf('/mounted/nowhere')).toEqual({ next: '/nowhere' })
  const { status } = await below.fetch(new Request('http://localhost/api/stateward/tasks'))
  expect([status, (await below.fetch(new Request('http://localhost/tasks'))).status]).toEqual([200, 404])
})

it('takes a body that a framework has read and parsed', async () => {
  await using runtime = await createRuntime()
  const echo: HttpRoute = {
    method: 'POST',
    path: '/echo',
    handle: async (call) => ({ status: 200, body: await call.json(v.strictObject({ a: v.number() })) }),
  }
  const handler = createHttpHandler({ runtime, unprotected: true, routes: [echo] })
  const url = await listen((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      handler.node(Object.assign(request, { body: JSON.parse(Buffer.concat(chunks).toString()) }), response)
    })
  })
  expect(await ask('POST', `${url}/echo`, { json: { a: 1 } })).toMatchObject({ status: 200, body: { a: 1 } })
  expect(await ask('POST', `${url}/echo`, { json: { a: '1' } })).toMatchObject({ status: 400 })
})
