import { PassThrough } from 'node:stream'
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'
import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio'
import { describe, expect, it, onTestFinished } from 'vitest'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { accepted, listeningTo, metaOf, openPlace, requestOf, type Place, type Sent } from './support/place.js'
import { makeServer } from './support/tools.js'

type Message = Readonly<Record<string, unknown>>

const subscribed = { 'io.modelcontextprotocol/subscriptionId': 'L' }

async function settle(place: Place): Promise<void> {
  for (let count = 0; count < 10; count += 1) {
    await place.runtime.flush()
    await turn()
  }
}

/** Asks to listen with a filter of its own. */
function listenRequest(notifications: Message, sent: Sent = {}): Request {
  return requestOf('subscriptions/listen', { notifications }, { id: 'L', ...sent })
}

describe('a stream over HTTP', () => {
  it('tells beside tasks of what the server can tell of, the latest of each kind [M-34]', async () => {
    const place = await openPlace()
    const { taskId } = await place.begin('confirm_delete')
    await place.until(taskId, 'input_required')
    const filter = { taskIds: [taskId], toolsListChanged: true, resourcesListChanged: true, promptsListChanged: false }
    const stream = listeningTo(await place.face(listenRequest(filter)))
    // There are no resources on this server.
    expect(await stream.next()).toMatchObject({
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true, taskIds: [taskId] } },
    })
    expect(await stream.next()).toMatchObject({ params: { taskId, status: 'input_required' } })
    for (let count = 0; count < 1000; count += 1) place.handler.notify.toolsChanged()
    place.handler.notify.resourcesChanged()
    await place.answer(taskId, { confirm: accepted({}) })
    await place.until(taskId, 'completed')
    const methods: unknown[] = []
    while (methods.at(-1) !== 'completed') {
      const { method, params } = (await stream.next()) as { method: string; params: { status?: string } }
      methods.push(params.status ?? method)
    }
    expect(methods.filter((method) => method === 'notifications/tools/list_changed').length).toBeLessThanOrEqual(3)
    expect(methods.filter((method) => method === 'notifications/tools/list_changed').length).toBeGreaterThan(0)
    expect(methods).not.toContain('notifications/resources/list_changed')
    // It stays for the other changes.
    place.handler.notify.toolsChanged()
    expect(await stream.next()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
      params: { _meta: subscribed },
    })
    await stream.cancel()
  })

  it.each<[string, Sent['headers'], Message, number, number]>([
    ['of another revision', { 'mcp-protocol-version': '2031-01-01' }, {}, 400, -32020],
    ['of another method', { 'mcp-method': 'tools/list' }, {}, 400, -32020],
    ['of no JSON', { 'content-type': 'text/plain' }, {}, 415, -32000],
    ['that its envelope contradicts', {}, { 'io.modelcontextprotocol/protocolVersion': '2031-01-01' }, 400, -32020],
    ['without an envelope', {}, { 'io.modelcontextprotocol/protocolVersion': undefined }, 400, -32602],
  ])('%s is refused as the SDK refuses it, and there is none [M-28]', async (_, headers, meta, status, code) => {
    const place = await openPlace()
    const { taskId } = await place.begin('confirm_delete')
    const { headers: said } = listenRequest({}, { headers: headers ?? {} })
    const response = await place.face(
      new Request('http://127.0.0.1/mcp', {
        method: 'POST',
        headers: said,
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 'L',
          method: 'subscriptions/listen',
          params: { notifications: { taskIds: [taskId] }, _meta: { ...metaOf({}), ...meta } },
        }),
      }),
    )
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { code } })
  })

  it.each<[string, unknown]>([
    ['text', 'x'],
    ['no texts', [5]],
    ['too many', Array.from({ length: 10_001 }, () => 'x')],
  ])('whose ids are %s is refused [M-29]', async (_, taskIds) => {
    const place = await openPlace()
    const response = await place.face(listenRequest({ taskIds }))
    expect(await response.json()).toMatchObject({ error: { code: -32602 } })
  })

  it('that is no JSON, or too long, is the SDK’s to refuse', async () => {
    const place = await openPlace()
    const { headers } = listenRequest({})
    const said = async (body: BodyInit, more: object = {}): Promise<number> =>
      (await place.face(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body, ...more }))).status
    expect(await said('{')).toBe(400)
    let sent = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536
        controller.enqueue(new Uint8Array(65_536).fill(32))
      },
    })
    expect(await said(endless, { duplex: 'half' })).toBe(413)
    expect(sent).toBeLessThan(16 * 2 ** 20)
  })

  it('of a host that is gone before it is open takes no place [M-33]', async () => {
    const place = await openPlace({ limits: { maxStreamsPerPrincipal: 1 } })
    const { taskId } = await place.begin('confirm_delete')
    const given = new AbortController()
    const opening = place.face(listenRequest({ taskIds: [taskId] }, { signal: given.signal }))
    given.abort()
    await opening.catch(() => undefined)
    const stream = await place.listen([taskId])
    expect((await stream.next())?.['method']).toBe('notifications/subscriptions/acknowledged')
    const refused = await place.face(listenRequest({ taskIds: [taskId] }))
    expect(await refused.json()).toMatchObject({ error: { code: -32603, message: 'Subscription limit reached' } })
    await stream.cancel()
    await (await place.listen([taskId])).cancel()
  })

  it('that nobody reads is put nothing on but what waits [M-33]', async () => {
    const clock = new SimulatedClock()
    const place = await openPlace({ runtime: { clock } })
    const { taskId } = await place.begin('external_job')
    const response = await place.face(listenRequest({ taskIds: [taskId] }))
    for (let beat = 0; beat < 100; beat += 1) {
      clock.advance(15_000)
      await turn()
    }
    await place.door.complete(taskId, { content: [] })
    await settle(place)
    const text = await response.text()
    expect(text.split(': keepalive').length - 1).toBeLessThanOrEqual(1)
    expect(text).toContain('"status":"completed"')
  })

  it('of more tasks than may wait tells of each of them once [M-30] [M-33]', async () => {
    const place = await openPlace({ limits: { maxQueuedNotifications: 4 } })
    const tasks = await Promise.all(Array.from({ length: 30 }, () => place.begin('external_job')))
    const ids = tasks.map(({ taskId }) => taskId)
    const stream = await place.listen(ids)
    for (const taskId of ids) await place.door.complete(taskId, { content: [] })
    await settle(place)
    const ended: string[] = []
    for (let next = await stream.next(); next !== undefined; next = await stream.next()) {
      const { taskId, status } = (next['params'] ?? {}) as { taskId?: string; status?: string }
      if (status === 'completed') ended.push(String(taskId))
    }
    expect(ended.toSorted()).toEqual(ids.toSorted())
  })

  it('ends with the token of its host [M-35]', async () => {
    const clock = new SimulatedClock()
    const place = await openPlace({ runtime: { clock } })
    const authInfo = {
      token: 't',
      clientId: 'c',
      scopes: [],
      expiresAt: Math.ceil(clock.wallNow() / 1000) + 60,
    }
    const { taskId } = await place.begin('confirm_delete', {}, { as: 'c' })
    await place.runtime.flush()
    const stream = listeningTo(await place.face(listenRequest({ taskIds: [taskId] }), { authInfo }))
    expect(await stream.next()).toMatchObject({ params: { notifications: { taskIds: [taskId] } } })
    await stream.next()
    clock.advance(61_000)
    let last: unknown
    for (let next = await stream.next(); next !== undefined; next = await stream.next()) last = next
    expect(last).toMatchObject({ id: 'L', result: { resultType: 'complete' } })
  })
})

/** A host at the other end of pipes. */
interface Host {
  send(message: Message): void
  /** The next message that is so; those before it are gone. */
  until(isMeant: (message: Message) => boolean): Promise<Message>
}

function connect(place: Place): Host & { readonly server: ReturnType<typeof makeServer>[] } {
  const [input, output] = [new PassThrough(), new PassThrough()]
  const server: ReturnType<typeof makeServer>[] = []
  const serving = serveStdio(
    (context) => {
      const made = makeServer(place.door, context)
      server.push(made)
      return made
    },
    { transport: place.door.transport(new StdioServerTransport(input, output)) },
  )
  onTestFinished(() => serving.close())
  const lines = createInterface({ input: output })[Symbol.asyncIterator]()
  return {
    server,
    send: (message) => void input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`),
    async until(isMeant) {
      for (;;) {
        const { value, done } = await lines.next()
        if (done === true) throw new Error('the pipe has ended')
        const message = JSON.parse(value) as Message
        if (isMeant(message)) return message
      }
    },
  }
}

const isAnswer = (id: string | number) => (message: Message) => message['id'] === id
const isMethod = (method: string) => (message: Message) => message['method'] === method

function listenMessage(id: string | number, notifications: Message, sent: Sent = {}): Message {
  return { id, method: 'subscriptions/listen', params: { notifications, _meta: metaOf(sent) } }
}

describe('a stream over stdio', () => {
  it('tells of tasks and of what the SDK tells, on one subscription [M-34]', async () => {
    const place = await openPlace()
    const host = connect(place)
    const { taskId } = await place.begin('confirm_delete')
    await place.until(taskId, 'input_required')
    host.send(listenMessage('L', { taskIds: [taskId, 'nobody'], toolsListChanged: true, resourcesListChanged: true }))
    expect(await host.until(() => true)).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true, taskIds: [taskId] }, _meta: subscribed },
    })
    expect(await host.until(() => true)).toMatchObject({ method: 'notifications/tasks', params: { taskId } })
    host.server[0]?.sendToolListChanged()
    expect(await host.until(() => true)).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/tools/list_changed',
      params: { _meta: subscribed },
    })
    await place.door.cancel(taskId)
    const last = await host.until(({ params }) => (params as { status?: string } | undefined)?.status === 'cancelled')
    expect(last).toMatchObject({ method: 'notifications/tasks', params: { taskId } })
    // It stays for the other changes, until its host has enough.
    host.server[0]?.sendToolListChanged()
    await host.until(isMethod('notifications/tools/list_changed'))
    host.send({ method: 'notifications/cancelled', params: { requestId: 'L' } })
    host.send({ id: 1, method: 'tools/list', params: { _meta: metaOf({}) } })
    await host.until(isAnswer(1))
    host.server[0]?.sendToolListChanged()
    host.send({ id: 2, method: 'tools/list', params: { _meta: metaOf({}) } })
    expect(await host.until(() => true)).toMatchObject({ id: 2 })
  })

  it('is refused to who does not declare tasks, to other revisions, and on the older line [M-22] [M-28]', async () => {
    const place = await openPlace()
    const host = connect(place)
    host.send(listenMessage(1, { taskIds: ['x'] }, { declares: false }))
    expect(await host.until(() => true)).toMatchObject({ id: 1, error: { code: -32021 } })
    const later = { ...metaOf({}), 'io.modelcontextprotocol/protocolVersion': '2031-01-01' }
    const filter = { notifications: { taskIds: ['x'] }, _meta: later }
    host.send({ id: 2, method: 'subscriptions/listen', params: filter })
    expect(await host.until(() => true)).toMatchObject({ id: 2, error: { code: -32022 } })
    host.send(listenMessage(3, { taskIds: 5 }))
    expect(await host.until(() => true)).toMatchObject({ id: 3, error: { code: -32602 } })
    const older = connect(place)
    const clientInfo = { name: 'older', version: '1' }
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
    older.send({ id: 4, method: 'initialize', params })
    await older.until(isAnswer(4))
    older.send(listenMessage(5, { taskIds: ['x'] }))
    expect(await older.until(isAnswer(5))).toMatchObject({ error: { code: -32601 } })
  })

  it('under an id that is in use stands for the one before, and takes one place [M-33]', async () => {
    const place = await openPlace({ limits: { maxStreamsPerPrincipal: 1 } })
    const host = connect(place)
    const { taskId } = await place.begin('external_job')
    for (let time = 0; time < 3; time += 1) {
      host.send(listenMessage('L', { taskIds: [taskId] }))
      await host.until(isMethod('notifications/subscriptions/acknowledged'))
    }
    await place.door.complete(taskId, { content: [] })
    expect(await host.until(isAnswer('L'))).toMatchObject({ result: { resultType: 'complete' } })
    host.send(listenMessage('M', { taskIds: [] }))
    expect(await host.until(isAnswer('M'))).toMatchObject({ result: { resultType: 'complete' } })
  })

  it('is over when it is cancelled before it is open, and when the pipe ends [M-33]', async () => {
    const place = await openPlace({ limits: { maxStreamsPerPrincipal: 1 } })
    const host = connect(place)
    const { taskId } = await place.begin('external_job')
    host.send(listenMessage('L', { taskIds: [taskId] }))
    host.send({ method: 'notifications/cancelled', params: { requestId: 'L' } })
    host.send({ id: 1, method: 'tools/list', params: { _meta: metaOf({}) } })
    await host.until(isAnswer(1))
    const other = await place.listen([taskId])
    expect(other.response.headers.get('content-type')).toBe('text/event-stream')
    await other.cancel()
  })
})
