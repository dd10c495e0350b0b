import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { silentLogger } from 'stateward'
import { describe, expect, it } from 'vitest'
import { ask, askRaw } from './support/client.js'
import { startService } from './support/service.js'

const sleep = { type: 'sleep', ms: 60_000 }
const missing = '0199d2a0-0000-7000-8000-00000000dead'

describe('operations', () => {
  it('are started, listed and looked at', async () => {
    const { at, start, clock } = await startService()
    const first = await ask('POST', at('/sessions/one/operations'), { json: { displayName: 'b nap', job: sleep } })
    expect(first).toMatchObject({
      status: 202,
      headers: { location: `/sessions/one/operations/${first.body.id}`, 'content-type': expect.stringMatching(/json/) },
      body: { displayName: 'b nap', kind: 'background_tool_op', sourceLabel: 'agent_service/sleep', terminal: false },
    })
    await start({ type: 'hash', text: 'abc' }, 'a hash')
    clock.advance(59_999)
    const list = await ask('GET', at('/sessions/one/operations'))
    expect(list.status).toBe(200)
    expect(list.body.lost).toEqual([])
    expect(list.body.operations).toMatchObject([
      { displayName: 'a hash', status: 'completed', outcome: { type: 'completed' } },
      {
        displayName: 'b nap',
        status: 'running',
        outcome: null,
        progress: { message: 'asleep for 60000 ms', fraction: 0 },
      },
    ])
    expect(await ask('GET', at(first.headers.location ?? ''))).toMatchObject({
      status: 200,
      body: { id: first.body.id },
    })
  })

  it.each([
    [
      { type: 'sleep', ms: 0 },
      { type: 'completed', result: { content: 'slept', isError: false } },
    ],
    [
      { type: 'hash', text: 'abc' },
      {
        type: 'completed',
        result: { content: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' },
      },
    ],
    [
      { type: 'fail', message: 'no luck' },
      { type: 'failed', error: 'no luck' },
    ],
  ])('of the job %j end as %j', async (job, outcome) => {
    const { at, start, clock } = await startService()
    const id = await start(job)
    clock.advance(1)
    const { status, body } = await ask('POST', at('/sessions/one/wait'), { json: { operationIds: [id] } })
    expect(status).toBe(200)
    expect(body.outcomes).toMatchObject([{ operationId: id, outcome }])
    // Where the service broke is its own affair.
    expect(JSON.stringify(body)).not.toContain('"stack"')
  })

  it('are cancelled once', async () => {
    const { at, start, clock } = await startService()
    const id = await start(sleep)
    const cancel = (): ReturnType<typeof ask> =>
      ask('POST', at(`/sessions/one/operations/${id}/cancel`), { json: { reason: 'not needed' } })
    expect(await cancel()).toMatchObject({
      status: 200,
      body: { id, status: 'cancelled', outcome: { type: 'cancelled', reason: 'not needed' } },
    })
    expect(await cancel()).toMatchObject({
      status: 409,
      body: { code: 'invalid_transition', data: { id, status: 'cancelled', action: 'cancel_operation' } },
    })
    // The sleep was woken: it left no timer behind.
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('that take longer than their deadline fail', async () => {
    const { at, clock } = await startService()
    const json = { displayName: 'slow', job: sleep, deadlineMs: 500 }
    const { body } = await ask('POST', at('/sessions/one/operations'), { json })
    clock.advance(500)
    const waited = await ask('POST', at('/sessions/one/wait'), { json: { operationIds: [body.id] } })
    expect(waited.body.outcomes[0].outcome).toEqual({
      type: 'failed',
      error: 'deadline of 500 ms exceeded',
      reason: 'deadline',
    })
  })

  it('beyond the limit of the session are refused, and nothing is left of them', async () => {
    const { at, start, runtime } = await startService()
    runtime.session('one', { maxConcurrent: 1 })
    await start(sleep)
    const json = { displayName: 'one too many', job: sleep }
    expect(await ask('POST', at('/sessions/one/operations'), { json })).toMatchObject({
      status: 503,
      body: { code: 'max_concurrent_exceeded', data: { limit: 1, active: 1 } },
    })
    expect((await ask('GET', at('/sessions/one/operations'))).body.operations).toHaveLength(1)
  })
})

describe('a wait', () => {
  it('ends with the outcomes in the order asked for and names the turn it was for', async () => {
    const { at, start, clock } = await startService()
    const slow = await start({ type: 'sleep', ms: 1000 }, 'slow')
    const quick = await start({ type: 'fail', message: 'no' }, 'quick')
    const turnId = '0199d2a0-0000-7000-8000-000000000001'
    const waiting = ask('POST', at('/sessions/one/wait'), { json: { turnId, operationIds: [slow, quick] } })
    await expect
      .poll(() => ask('POST', at('/sessions/one/wait'), { json: { turnId, operationIds: [slow] } }))
      .toMatchObject({
        status: 409,
        body: { code: 'wait_already_active' },
      })
    clock.advance(1000)
    const { status, body } = await waiting
    expect(status).toBe(200)
    expect(body.outcomes.map((one: { operationId: string }) => one.operationId)).toEqual([slow, quick])
    expect(body.satisfied.turnId).toBe(turnId)
  })

  it('is given up when its client goes', async () => {
    const { at, start, runtime } = await startService()
    const id = await start(sleep)
    const client = new AbortController()
    const waiting = ask('POST', at('/sessions/one/wait'), { json: { operationIds: [id] }, signal: client.signal })
    const session = runtime.session('one')
    await expect.poll(() => session.operations.diagnostics().pendingWait?.operationIds).toEqual([id])
    client.abort()
    await expect(waiting).rejects.toThrow('aborted')
    await expect.poll(() => session.operations.diagnostics().pendingWait).toBeNull()
  })
})

describe('bad input', () => {
  const job = { type: 'hash', text: 'x' }

  it.each([
    ['operations', '{', '$', /^not JSON/],
    ['operations', '', '$', /^not JSON/],
    ['operations', 'null', '$', /Object/],
    ['operations', '[]', '$', /list/],
    [`operations/${missing}/cancel`, '[]', '$', /list/],
    ['operations', '{}', 'displayName', /displayName/],
    ['operations', JSON.stringify({ displayName: 7, job }), 'displayName', /string/],
    ['operations', JSON.stringify({ displayName: '  ', job }), 'displayName', /length/],
    ['operations', JSON.stringify({ displayName: 'x'.repeat(201), job }), 'displayName', /length/],
    ['operations', JSON.stringify({ displayName: 'x' }), 'job', /job/],
    ['operations', JSON.stringify({ displayName: 'x', job: { type: 'rm' } }), 'job.type', /type/],
    ['operations', JSON.stringify({ displayName: 'x', job: { type: 'sleep' } }), 'job.ms', /ms/],
    ['operations', JSON.stringify({ displayName: 'x', job: { type: 'sleep', ms: -1 } }), 'job.ms', />=0/],
    ['operations', JSON.stringify({ displayName: 'x', job: { type: 'sleep', ms: 1.5 } }), 'job.ms', /integer/],
    [
      'operations',
      JSON.stringify({ displayName: 'x', job: { type: 'sleep', ms: 86_400_001 } }),
      'job.ms',
      /<=86400000/,
    ],
    ['operations', JSON.stringify({ displayName: 'x', job: { ...job, rounds: 2 } }), 'job.rounds', /never/],
    ['operations', JSON.stringify({ displayName: 'x', job, deadlineMs: 0 }), 'deadlineMs', />=1/],
    ['operations', JSON.stringify({ displayName: 'x', job, priority: 1 }), 'priority', /never/],
    ['operations', '{"displayName":"x","job":{"type":"hash","text":"x"},"__proto__":{"a":1}}', '__proto__', /never/],
    ['wait', '{}', 'operationIds', /operationIds/],
    ['wait', JSON.stringify({ operationIds: ['x'] }), 'operationIds.0', /UUID/],
    ['wait', JSON.stringify({ operationIds: [missing, 5] }), 'operationIds.1', /string/],
    ['wait', JSON.stringify({ operationIds: Array.from({ length: 1001 }, () => missing) }), 'operationIds', /length/],
    ['wait', JSON.stringify({ operationIds: [missing], turnId: 'x' }), 'turnId', /UUID/],
    [`operations/${missing}/cancel`, JSON.stringify({ reason: 5 }), 'reason', /string/],
    ['operations/nonsense/cancel', '{}', '$', /UUID/],
  ])('to %s, %s, is refused for its %s', async (path, text, field, reason) => {
    const { at, start, runtime } = await startService()
    await start({ type: 'sleep', ms: 1 })
    expect(await ask('POST', at(`/sessions/one/${path}`), { text })).toMatchObject({
      status: 400,
      body: {
        code: 'invalid_input',
        message: expect.stringMatching(/^invalid /),
        data: { field, reason: expect.stringMatching(reason) },
      },
    })
    expect(runtime.session('one').operations.listOperations()).toHaveLength(1)
  })

  it('that is not UTF-8 is refused', async () => {
    const { at } = await startService()
    const text = Buffer.from('{"displayName":"\u00e9"}', 'latin1') as unknown as string
    expect(await ask('POST', at('/sessions/one/operations'), { text })).toMatchObject({
      status: 400,
      body: { code: 'invalid_input', data: { field: '$' } },
    })
  })

  it.each([
    ['a name with a control character', '/sessions/a%00b/operations'],
    ['a blank name', '/sessions/%20/operations'],
    ['a name that is too long', `/sessions/${'x'.repeat(257)}/operations`],
    ['a path that is not well-formed', '/sessions/%E0%A4/operations'],
  ])('%s is refused and creates no session', async (_, path) => {
    const { at, runtime } = await startService()
    const answer = await ask('POST', at(path), { json: { displayName: 'x', job } })
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid_input' } })
    expect([...runtime.sessions()]).toEqual([])
  })

  it('a body that exceeds the limit is refused, one of exactly the limit is not', async () => {
    const { at } = await startService({ maxBodyBytes: 1000 })
    const text = (length: number): string => {
      const frame = JSON.stringify({ displayName: 'x', job: { type: 'hash', text: '' } })
      return frame.replace('""', `"${'x'.repeat(length - frame.length)}"`)
    }
    expect(await ask('POST', at('/sessions/one/operations'), { text: text(1000) })).toMatchObject({ status: 202 })
    expect(await ask('POST', at('/sessions/one/operations'), { text: text(1001) })).toMatchObject({
      status: 413,
      body: { code: 'body_too_large', data: { limit: 1000 } },
      headers: { connection: 'close' },
    })
  })

  it('a body that is too large is refused before the rest of it has come', async () => {
    const { at } = await startService({ maxBodyBytes: 1000 })
    const asked = request(at('/sessions/one/operations'), {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', 'content-length': 1_000_000 },
    })
    asked.on('error', () => {})
    asked.write('x'.repeat(2000))
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    expect([response.statusCode, response.headers.connection]).toEqual([413, 'close'])
    response.resume()
    await once(response, 'close')
  })

  it.each([
    ['POST', '/sessions/one/wait', 404, 'not_found', { json: { operationIds: [missing] } }],
    ['POST', '/sessions/one/wait', 400, 'duplicate_wait_operation', { json: { operationIds: ['ID', 'ID'] } }],
    ['GET', `/sessions/one/operations/${missing}`, 404, 'not_found', {}],
    ['GET', '/sessions/one/operations/nonsense', 400, 'invalid_input', {}],
    ['POST', `/sessions/one/operations/${missing}/cancel`, 404, 'not_found', { json: {} }],
    ['GET', '/sessions/nobody/operations', 404, 'session_not_found', {}],
    ['GET', '/sessions/nobody/completions', 404, 'session_not_found', {}],
    ['POST', '/sessions/nobody/wait', 404, 'session_not_found', { json: { operationIds: [] } }],
    ['GET', '/', 404, 'route_not_found', {}],
    ['GET', '/sessions/one/operations/', 400, 'invalid_input', {}],
    ['DELETE', '/sessions/one/operations', 405, 'method_not_allowed', {}],
    [
      'POST',
      '/sessions/one/operations',
      415,
      'unsupported_media_type',
      { text: '{}', headers: { 'content-type': 'text/plain' } },
    ],
    ['GET', '/healthz', 403, 'host_refused', { headers: { host: 'rebound.example:80' } }],
  ])('%s %s is answered %d %s', async (method, path, status, code, question) => {
    const { at, start } = await startService()
    const id = await start({ type: 'hash', text: 'x' })
    const asked = JSON.parse(JSON.stringify(question).replaceAll('"ID"', JSON.stringify(id)))
    const answer = await ask(method, at(path), asked)
    expect(answer).toMatchObject({ status, body: { code, message: expect.any(String), data: expect.anything() } })
  })
})

describe('what is hardly a request', () => {
  const host = 'Host: localhost\r\n'
  const json = 'Content-Type: application/json\r\n'
  const close = 'Connection: close\r\n\r\n'

  it.each([
    ['an address without an end', `GET http://[ HTTP/1.1\r\n${host}${close}`, 400, 'invalid_input'],
    ['neither a path nor an address', `GET foo:bar HTTP/1.1\r\n${host}${close}`, 400, 'malformed_request'],
    ['no path', `OPTIONS * HTTP/1.1\r\n${host}${close}`, 400, 'invalid_input'],
    ['a path like a host', `GET //localhost/healthz HTTP/1.1\r\n${host}${close}`, 404, 'route_not_found'],
    ['bad percent-encoding', `GET /sessions/%zz/operations HTTP/1.1\r\n${host}${close}`, 400, 'invalid_input'],
    ['no host', `GET /healthz HTTP/1.1\r\n${close}`, 403, 'host_refused'],
    ['an unknown method', `MAKE /healthz HTTP/1.1\r\n${host}${close}`, 400, 'malformed_request'],
    ['no HTTP', 'hello\r\n\r\n', 400, 'malformed_request'],
    ['a tunnel', `CONNECT localhost:80 HTTP/1.1\r\n${host}\r\n`, 405, 'method_not_allowed'],
    ['headers without end', `GET / HTTP/1.1\r\n${host}X: ${'x'.repeat(20_000)}\r\n${close}`, 431, 'headers_too_large'],
    [
      'a body in broken chunks',
      `POST /sessions/one/operations HTTP/1.1\r\n${host}${json}Transfer-Encoding: chunked\r\n${close}zz\r\n`,
      400,
      'malformed_request',
    ],
    [
      'two lengths',
      `POST /sessions/one/operations HTTP/1.1\r\n${host}${json}Content-Length: 1\r\nContent-Length: 2\r\n${close}x`,
      400,
      'malformed_request',
    ],
    [
      'a body that unfolds',
      `POST /sessions/one/operations HTTP/1.1\r\n${host}${json}Content-Encoding: gzip\r\nContent-Length: 1\r\n${close}x`,
      400,
      'invalid_input',
    ],
    [
      'a strange expectation',
      `GET /sessions/none/operations HTTP/1.1\r\n${host}Expect: a miracle\r\n${close}`,
      404,
      'session_not_found',
    ],
  ])('%s is answered in the form of all errors', async (_, text, status, code) => {
    const { at } = await startService()
    const answer = await askRaw(at('/'), text)
    const [head = ''] = answer.split('\r\n\r\n')
    // The body may come in chunks.
    const [body = ''] = /^\{.*\}$/m.exec(answer) ?? []
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(head.toLowerCase()).toContain('\r\ncontent-type: application/json; charset=utf-8')
    expect(JSON.parse(body)).toMatchObject({ code, message: expect.any(String), data: expect.anything() })
    // The service takes the next request as ever.
    expect(await ask('GET', at('/healthz'))).toMatchObject({ status: 200 })
  })

  it('is told which methods there are', async () => {
    const { at } = await startService()
    const answer = await ask('DELETE', at('/sessions/one/operations'))
    expect(answer.headers.allow).toBe('POST, GET, HEAD')
  })

  it('takes a whole address for the path in it', async () => {
    const { at } = await startService()
    const answer = await askRaw(at('/'), `GET http://localhost/healthz HTTP/1.1\r\n${host}${close}`)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('never ends up in the middle of a stream', async () => {
    const { at, start } = await startService()
    await start({ type: 'hash', text: 'x' })
    const text = `GET /sessions/one/completions HTTP/1.1\r\n${host}\r\n`
    const socket = connect(Number(new URL(at('/')).port), '127.0.0.1')
    socket.write(text)
    let received = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      received += chunk
      if (received.includes('event: completion')) socket.write('nonsense\r\n\r\n')
    })
    socket.on('error', () => {})
    await once(socket, 'close')
    expect(received).not.toContain('malformed_request')
  })

  it('is no fault of the service when its client goes in the middle of the body', async () => {
    const errors: string[] = []
    const logger = { ...silentLogger, error: (_: object, message: string) => errors.push(message) }
    const { at, service, runtime } = await startService({ logger })
    const socket = connect(Number(new URL(at('/')).port), '127.0.0.1')
    const head = `POST /sessions/one/operations HTTP/1.1\r\n${host}${json}Content-Length: 100\r\n`
    socket.write(`${head}Expect: 100-continue\r\n\r\n`)
    const [asked] = (await once(socket.setEncoding('utf8'), 'data')) as [string]
    expect(asked).toMatch(/^HTTP\/1\.1 100 /)
    socket.write('{"displayName":')
    socket.resetAndDestroy()
    await service.close()
    // The connection is gone; what waited for the rest of the body learns of it at the end of this turn of the loop.
    await setImmediate()
    await setImmediate()
    expect(errors).toEqual([])
    expect([...runtime.sessions()]).toEqual([])
  })
})

describe('health', () => {
  it('is good while the journal takes records', async () => {
    const { at } = await startService()
    expect(await ask('GET', at('/healthz'))).toMatchObject({
      status: 200,
      body: { status: 'ok', closing: false, journal: { status: 'open' } },
    })
  })

  it('is bad once the runtime has been closed, and no work is taken', async () => {
    const { at, runtime } = await startService()
    await runtime.close()
    expect(await ask('GET', at('/healthz'))).toMatchObject({ status: 503, body: { journal: { status: 'closed' } } })
    const json = { displayName: 'late', job: sleep }
    expect(await ask('POST', at('/sessions/one/operations'), { json })).toMatchObject({
      status: 503,
      body: { code: 'runtime_closed' },
    })
  })
})
