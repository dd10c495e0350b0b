import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import { createRuntime, type Runtime } from 'stateward'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask } from '../support/inspector-client.js'

const numRuns = process.env['STATEWARD_LONG'] === undefined ? 150 : 5000

let runtime: Runtime
let url: URL

beforeAll(async () => {
  runtime = await createRuntime({ inspect: true })
  url = new URL(runtime.inspectorUrl ?? '')
})
afterAll(() => runtime.close({ policy: 'terminate' }))

const json = { 'content-type': 'application/json' }

describe('whoever may not look', () => {
  it('is refused without the secret, and with a wrong one, whatever is asked', async () => {
    const wrong = `/${'x'.repeat(32)}`
    for (const path of ['/', '/events', '/query', wrong, `${wrong}/`, `${wrong}/events`, `${wrong}/recording`]) {
      const { status, text } = await ask(new URL(path, url.origin))
      expect([path, status]).toEqual([path, 403])
      expect(text).not.toContain(url.pathname.slice(1, -1))
    }
    for (const path of ['query', 'action']) {
      const answer = await ask(new URL(`${wrong}/${path}`, url.origin), { method: 'POST', headers: json, body: '{}' })
      expect(answer.status).toBe(403)
    }
  })

  it('is refused by another name of this machine, as a page that rebinds its own would come', async () => {
    for (const host of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', '0.0.0.0', '[::ffff:127.0.0.1]']) {
      const { status, text } = await ask(url, { headers: { host } })
      expect([host, status]).toEqual([host, 403])
      expect(text).not.toContain('script')
    }
  })

  it('is refused as a page of somebody else, also with the secret', async () => {
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1:1', 'http://localhost']) {
      for (const path of ['events', 'recording', '']) {
        const { status } = await ask(new URL(path, url), { headers: { origin } })
        expect([origin, status]).toEqual([origin, 403])
      }
      const { status } = await ask(new URL('action', url), {
        method: 'POST',
        headers: { origin, ...json },
        body: '{"action":"pause"}',
      })
      expect(status).toBe(403)
    }
    const own = await ask(new URL('query', url), {
      method: 'POST',
      headers: { origin: url.origin, ...json },
      body: '{"view":"overview"}',
    })
    expect(own.status).toBe(200)
  })
})

describe('every answer', () => {
  it('forbids everything that is not the own script, style and server, and gives the address away to nobody', async () => {
    for (const path of ['recording', 'nothing.js', '../x']) {
      const { headers } = await ask(new URL(path, url))
      if (path === '../x') continue
      expect(headers['x-content-type-options']).toBe('nosniff')
    }
    const { headers } = await ask(new URL('recording', url))
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(headers).toMatchObject({ 'referrer-policy': 'no-referrer', 'x-frame-options': 'DENY' })
  })
})

describe('what is malformed', () => {
  it('is refused by field', async () => {
    const post = async (path: string, body: string, headers: Record<string, string> = json) => {
      const { status, text } = await ask(new URL(path, url), { method: 'POST', headers, body })
      return [status, JSON.parse(text).data.field]
    }
    expect(await post('query', '{"view":"list","limit":501}')).toEqual([400, 'limit'])
    expect(await post('query', '{"view":"list","text":5}')).toEqual([400, 'text'])
    expect(await post('query', '{"view":"list","more":5}')).toEqual([400, 'more'])
    expect(await post('query', '{"view":"nothing"}')).toEqual([400, 'view'])
    expect(await post('query', '{"view":"item","item":{"type":"operation","id":""}}')).toEqual([400, 'item.id'])
    expect(await post('action', '{"action":"answer","item":{"type":"task","id":"x"}}')).toEqual([400, 'name'])
    expect(await post('query', '{"view":')).toEqual([400, '$'])
    expect((await post('query', '{"view":"overview"}', { 'content-type': 'text/plain' }))[0]).toBe(415)
    expect((await post('query', `{"view":"list","text":"${'x'.repeat(300_000)}"}`))[0]).toBe(413)
    expect((await ask(new URL(`events?after=${'9'.repeat(9000)}`, url))).status).toBe(414)
  })

  it('never breaks the server, whatever it is', { timeout: 120_000 }, async () => {
    const part = fc.oneof(
      fc.constantFrom('events', 'query', 'action', 'recording', 'index.html', '..', '%', '%00', '.', '', '__proto__'),
      fc.string({ maxLength: 12 }).map((text) => text.replaceAll(/[^!-~]|#/g, '%')),
    )
    const body = fc.oneof(
      fc.json(),
      fc.string(),
      fc
        .record(
          {
            view: fc.constantFrom(
              'overview',
              'list',
              'item',
              'history',
              'graph',
              'feed',
              'waits',
              'entries',
              'actors',
              'node',
            ),
            item: fc.oneof(
              fc.anything(),
              fc.record({ type: fc.constantFrom('task', 'run', 'process', 'operation'), id: fc.string() }),
            ),
            text: fc.oneof(fc.string(), fc.anything()),
            at: fc.integer({ min: -2, max: 5 }),
            limit: fc.integer({ min: -1, max: 600 }),
          },
          { requiredKeys: ['view'] },
        )
        .map((value) => JSON.stringify(value) ?? ''),
      fc.constant('{"view":"list","__proto__":{"polluted":1}}'),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { maxLength: 3 }),
        fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
        body,
        async (parts, method, text) => {
          const path = `${url.pathname}${parts.join('/')}`
          if (method === 'GET' && parts[0] === 'events') return
          const target = new URL(url.origin)
          const { status } = await raw(target, `${method} ${path.replaceAll(' ', '%')} HTTP/1.1`, text)
          expect(status === undefined || (status >= 200 && status < 500)).toBe(true)
        },
      ),
      { numRuns },
    )
    expect(Object.prototype).not.toHaveProperty('polluted')
    const { status } = await ask(new URL('query', url), { method: 'POST', headers: json, body: '{"view":"overview"}' })
    expect(status).toBe(200)
  })
})

/** Sends a request line as it is; the status of the answer, if there is one. */
async function raw({ port, host }: URL, line: string, body: string): Promise<{ status: number | undefined }> {
  const socket = connect(Number(port), '127.0.0.1')
  let answer = ''
  socket.setEncoding('utf8')
  socket.on('data', (piece: string) => (answer += piece))
  socket.on('error', () => {})
  const bytes = Buffer.from(body)
  socket.write(
    `${line}\r\nhost: ${host}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${bytes.length}\r\n\r\n`,
  )
  socket.end(bytes)
  await once(socket, 'close')
  const [, status] = /^HTTP\/1\.1 (\d+)/.exec(answer) ?? []
  return { status: status === undefined ? undefined : Number(status) }
}
