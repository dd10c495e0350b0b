import { createRuntime } from 'stateward'
import { createHttpHandler, type HttpHandlerOptions } from 'stateward/http'
import { describe, expect, it } from 'vitest'
import { ask } from '../examples/support/client.js'
import { serve } from './support/serve.js'

const token = 'a-token-of-some-length'

describe('who may ask', () => {
  it('has to be said', async () => {
    await using runtime = await createRuntime()
    expect(() => createHttpHandler({ runtime })).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field: 'authorize' }) }),
    )
    expect(() => createHttpHandler({ runtime, unprotected: false })).toThrow(/authorize: missing/)
  })

  it.each<[string, Partial<HttpHandlerOptions>, string]>([
    ['a short token', { token: 'secret' }, 'token'],
    ['an empty list of tokens', { token: [] }, 'token'],
    ['a token with a space', { token: 'a token of some length' }, 'token'],
    ['both', { token, unprotected: true }, 'unprotected'],
    ['any host for everybody', { unprotected: true, hosts: 'any' }, 'hosts'],
    ['an authorize that is none', { authorize: true as never }, 'authorize'],
    ['a base path with a slash at its end', { token, basePath: '/x/' }, 'basePath'],
    ['an origin with a path', { token, origins: ['https://a.example/x'] }, 'origins.0'],
    ['a route that is none', { token, routes: [{ method: 'GET', path: 'x' } as never] }, 'routes'],
    ['a stall of a text', { token, stallMs: '5' as never }, 'stallMs'],
    ['what nobody knows', { token, cors: true } as never, 'cors'],
  ])('%s is refused', async (_, options, field) => {
    await using runtime = await createRuntime()
    expect(() => createHttpHandler({ runtime, ...options })).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field }) }),
    )
  })

  it.each([
    ['no token', {}, 401],
    ['another one', { authorization: 'Bearer another-token-of-some-length' }, 401],
    ['the beginning of it', { authorization: `Bearer ${token.slice(0, -1)}` }, 401],
    ['another scheme', { authorization: `Basic ${token}` }, 401],
    ['the token', { authorization: `Bearer ${token}` }, 200],
    ['the token that takes its place', { authorization: `bearer ${token}-2` }, 200],
  ])('%s: %j is answered %d, whatever is asked', async (_, headers, status) => {
    const { at, fetch } = await serve({ token: [token, `${token}-2`] })
    for (const path of ['/status', '/tasks', '/sessions', '/tasks/completions?after=9']) {
      const expected = status === 200 && path.includes('?') ? 409 : status
      const answer = await ask('GET', at(path), { headers })
      expect([path, answer.status]).toEqual([path, expected])
      const other = await fetch(path, { headers })
      expect([path, other.status]).toEqual([path, expected])
      if (status !== 401) continue
      expect(answer.body).toEqual({ code: 'unauthorized', message: expect.any(String), data: {} })
      expect([answer.headers['www-authenticate'], other.headers.get('www-authenticate')]).toEqual(['Bearer', 'Bearer'])
    }
    // What is not there is told to those who may ask.
    expect((await ask('GET', at('/nowhere'), { headers })).status).toBe(status === 200 ? 404 : 401)
    expect((await ask('DELETE', at('/tasks'), { headers })).status).toBe(status === 200 ? 405 : 401)
  })

  it('authorize is told what is asked for, and anything but true refuses', async () => {
    const asked: unknown[] = []
    const answers: unknown[] = [true, false, 'yes', 1, undefined, Promise.resolve(true), Promise.resolve(false)]
    const { at } = await serve({
      authorize: ({ method, path, route, params, query, header }) => {
        asked.push([method, path, route, params, query.get('x'), header('X-User')])
        return answers.shift() as boolean
      },
    })
    const statuses: number[] = []
    for (let number = 0; number < 7; number += 1) {
      statuses.push((await ask('GET', at('/sessions/a%20b/operations?x=1'), { headers: { 'x-user': 'ada' } })).status)
    }
    expect(statuses).toEqual([404, 403, 403, 403, 403, 404, 403])
    const first = ['GET', '/sessions/a%20b/operations', '/sessions/:session/operations', { session: 'a b' }, '1', 'ada']
    expect(asked[0]).toEqual(first)
  })

  it('an authorize that throws lets nobody in, and says nothing of its inside', async () => {
    const { at, fetch, faults } = await serve({
      authorize: () => {
        throw new Error('the database is at 10.0.0.7')
      },
    })
    const answer = await ask('GET', at('/status'))
    expect(answer).toMatchObject({ status: 500, body: { code: 'internal', data: {} } })
    expect(JSON.stringify(answer.body)).not.toContain('10.0.0.7')
    expect((await fetch('/status')).status).toBe(500)
    expect(faults).toMatchObject([{ error: expect.stringContaining('10.0.0.7') }, {}])
  })
})

describe('where a request comes from', () => {
  it.each([
    ['rebound.example', 403],
    ['rebound.example:80', 403],
    ['localhost.rebound.example', 403],
    ['127.0.0.1.rebound.example', 403],
    ['localhost', 200],
    ['LOCALHOST:8080', 200],
    ['127.0.0.1:1', 200],
    ['[::1]:8787', 200],
  ])('a host %j is answered %d', async (host, status) => {
    const { at, handler } = await serve()
    const answer = await ask('GET', at('/status'), { headers: { host } })
    expect([answer.status, answer.body.code]).toEqual([status, status === 403 ? 'host_refused' : undefined])
    // Fetch knows the host by the address.
    expect((await handler.fetch(new Request(`http://${host}/status`))).status).toBe(status)
  })

  it('names of its own are all that a service answers to', async () => {
    const { at } = await serve({ token, hosts: ['Api.Example.org', 'other.example.org:8443'] })
    const headers = { authorization: `Bearer ${token}` }
    const statusOf = async (host: string) => (await ask('GET', at('/status'), { headers: { ...headers, host } })).status
    expect(await statusOf('api.example.org')).toBe(200)
    expect(await statusOf('api.example.org:444')).toBe(200)
    expect(await statusOf('other.example.org:8443')).toBe(200)
    expect(await statusOf('other.example.org')).toBe(403)
    expect(await statusOf('localhost')).toBe(403)
    const any = await serve({ token, hosts: 'any' })
    expect((await ask('GET', any.at('/status'), { headers: { ...headers, host: 'x.example' } })).status).toBe(200)
  })

  it.each([
    ['https://evil.example', 403],
    ['null', 403],
    ['http://localhost:1', 403],
    ['nonsense', 403],
    ['https://app.example.org', 200],
    ['same', 200],
  ])('a page of %s is answered %d', async (origin, status) => {
    const { at, fetch } = await serve({ unprotected: true, origins: ['https://app.example.org'] })
    const own = new URL(at('/')).origin
    const answer = await ask('GET', at('/tasks'), { headers: { origin: origin === 'same' ? own : origin } })
    expect([answer.status, answer.body.code]).toEqual([status, status === 403 ? 'origin_refused' : undefined])
    const other = await fetch('/tasks', { headers: { origin: origin === 'same' ? 'http://localhost' : origin } })
    expect(other.status).toBe(status)
  })
})
