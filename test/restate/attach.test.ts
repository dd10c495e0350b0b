import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createDeferred } from '../../src/base/promises.js'
import { createRuntime, defineProcess } from '../../src/index.js'
import {
  connectRestate,
  registerRestate,
  type ConnectRestateOptions,
  type RestateConnection,
} from '../../src/restate/index.js'

type Answer = (response: ServerResponse) => void

interface Engine {
  readonly url: string
  readonly restate: RestateConnection
  /** The paths that were asked for. */
  readonly calls: string[]
  /** Resolves once the nth call has come. */
  readonly called: (count: number) => Promise<void>
}

/** Something that answers like the ingress of the engine, the nth call with the nth answer, the last one again. */
async function openEngine(answers: readonly Answer[], options: Partial<ConnectRestateOptions> = {}): Promise<Engine> {
  const calls: string[] = []
  const server = createServer(({ url = '' }, response) => {
    calls.push(url)
    server.emit('called')
    answers[Math.min(calls.length, answers.length) - 1]?.(response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const ingress = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: ingress,
    restate: connectRestate({ ingress, ...options }),
    calls,
    called: async (count) => {
      while (calls.length < count) await once(server, 'called')
    },
  }
}

const saying =
  (status: number, body: string): Answer =>
  (response) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(body)
const success = { type: 'success', value: 7 } as const
const ended = saying(200, JSON.stringify(success))
const silent: Answer = () => {}
const broken: Answer = (response) => void response.destroy()

describe('the wait of the engine (W13)', () => {
  it('is held until the engine answers, with one call, each wait its own when one follows another', async () => {
    const held: Answer = (response) => void setTimeout(() => ended(response), 300)
    const { restate, calls } = await openEngine([held, ended])
    const before = performance.now()
    expect(await restate.attach.awaitTerminal('order 7')).toEqual(success)
    expect(performance.now() - before).toBeGreaterThan(290)
    expect(calls).toEqual(['/restate/workflow/stateward_process/order%207/attach'])
    expect(await restate.attach.awaitTerminal('order 7')).toEqual(success)
    expect(calls).toHaveLength(2)
  })

  it('is shared by all who wait for a process at the same time (R-6)', async () => {
    const { restate, calls } = await openEngine([(response) => void setTimeout(() => ended(response), 50)])
    const waits = Array.from({ length: 500 }, () => restate.attach.awaitTerminal('p'))
    expect(restate.attach.size).toBe(1)
    expect(new Set((await Promise.all(waits)).map((output) => JSON.stringify(output)))).toEqual(
      new Set([JSON.stringify(success)]),
    )
    expect(calls).toHaveLength(1)
    expect(restate.attach.size).toBe(0)
  })

  it.each([
    [500, 'boom', { code: 'restate.attach_failed', data: { processId: 'p', status: 500, body: 'boom' } }],
    [404, '{}', { code: 'process.unknown', data: { processId: 'p' } }],
    [200, '{"type":', { code: 'restate.answer_malformed', data: { processId: 'p' } }],
    [200, '{"type":"victory"}', { code: 'restate.answer_malformed', data: { processId: 'p' } }],
    [200, '', { code: 'restate.answer_malformed', data: { processId: 'p' } }],
  ])('answered with status %i and %j rejects with an error that names the process', async (status, body, error) => {
    const { restate, calls } = await openEngine([saying(status, body)], { startGraceMs: 0 })
    await expect(restate.attach.awaitTerminal('p')).rejects.toMatchObject(error)
    expect(calls).toHaveLength(1)
  })

  it('is made anew under the same id when it was silent for too long, and when its connection broke (R-6)', async () => {
    const { restate, calls } = await openEngine([silent, broken, silent, ended], { attachCeilingMs: 40 })
    expect(await restate.attach.awaitTerminal('p')).toEqual(success)
    expect(calls).toEqual(Array.from({ length: 4 }, () => '/restate/workflow/stateward_process/p/attach'))
  })

  it('and a feed outlive connections that are cut now and then, each longer than an outage may last (R-6)', async () => {
    const cut: Answer = (response) => void setTimeout(() => response.destroy(), 1100)
    const options = { outageMs: 500 }
    const page = {
      watermark: 1,
      droppedThrough: 0,
      entries: [{ seq: 1, processId: 'p', kind: 'k', output: success, endedAtMs: 1 }],
    }
    const waited = await openEngine([cut, cut, ended], options)
    const followed = await openEngine([cut, cut, saying(200, JSON.stringify(page))], options)
    const [output, first] = await Promise.all([
      waited.restate.attach.awaitTerminal('p'),
      followed.restate.processes('s').follow().next(),
    ])
    expect([output, first.value]).toEqual([success, page.entries[0]])
  })

  it('asks again for what the engine does not know yet', async () => {
    const { restate, calls } = await openEngine([saying(404, '{}'), ended], { startGraceMs: 0 })
    expect(await restate.attach.awaitTerminal('p', { isStarted: true })).toEqual(success)
    expect(calls).toHaveLength(2)
  })

  it('says that the engine is away once it was away for long enough', async () => {
    const { restate } = await openEngine([broken], { outageMs: 60 })
    await expect(restate.attach.awaitTerminal('p')).rejects.toMatchObject({ code: 'restate.unreachable' })
  })

  it('is given up by one who waits, for himself alone; nobody left, the call is', async () => {
    const closed = createDeferred<void>()
    const { restate, called, calls } = await openEngine([
      (response) => void response.once('close', () => closed.resolve()),
    ])
    const abort = new AbortController()
    const one = restate.attach.awaitTerminal('p', { signal: abort.signal })
    const other = restate.attach.awaitTerminal('p', { timeoutMs: 100 })
    await called(1)
    abort.abort(new Error('enough'))
    await expect(one).rejects.toThrow('enough')
    expect(restate.attach.size).toBe(1)
    await expect(other).rejects.toMatchObject({
      code: 'process.await_timeout',
      data: { processId: 'p', timeoutMs: 100 },
    })
    await closed.promise
    expect([restate.attach.size, calls.length]).toEqual([0, 1])
  })

  it('serves the work driver of a runtime: no call for what has ended, one for what has not', async () => {
    const { restate, calls } = await openEngine([ended])
    const quick = defineProcess('quick', { disposition: 'rerunnable' }, () => 1)
    const slow = defineProcess('slow', { disposition: 'rerunnable', signals: {} }, () => new Promise<never>(() => {}))
    const runtime = await createRuntime({ processes: { define: [quick, slow] } })
    onTestFinished(() => runtime.close({ policy: 'terminate' }))
    const done = await runtime.processes.start(quick, undefined)
    await done.result()
    const { driver } = runtime.processes
    driver.attach(restate.attach)
    expect(await driver.awaitTerminal(done.id)).toEqual({ type: 'success', value: 1 })
    expect(calls).toEqual([])
    const { id } = await runtime.processes.start(slow, undefined)
    expect(await driver.awaitTerminal(id)).toEqual(success)
    expect(calls).toHaveLength(1)
  })
})

describe('a connection', () => {
  it('is refused for what is no address', async () => {
    for (const ingress of ['nonsense', 'ftp://127.0.0.1'])
      expect(() => connectRestate({ ingress })).toThrow('not an address of http or https')
    await expect(registerRestate({ admin: 'nonsense', uri: 'http://127.0.0.1' })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'admin' },
    })
  })

  it('tells an answer that cannot be read from an engine that is away', async () => {
    const { restate } = await openEngine([saying(200, '{"entries":')])
    await expect(restate.processes('s').since(0)).rejects.toMatchObject({
      code: 'restate.call_failed',
      data: { status: 200 },
    })
  })

  it('asks again after an answer that passes, and not after one that does not', async () => {
    const page = { entries: [], watermark: 0, droppedThrough: 0 }
    const starting = await openEngine([saying(503, ''), saying(404, ''), saying(200, JSON.stringify(page))])
    expect(await starting.restate.session('s').feed.since(0)).toEqual(page)
    expect(starting.calls).toHaveLength(3)
    for (const [status, body] of [
      [200, '<html>'],
      [405, ''],
    ] as const) {
      const { restate, calls } = await openEngine([saying(status, body)])
      await expect(restate.session('s').feed.since(0)).rejects.toMatchObject({
        code: 'restate.call_failed',
        data: { status },
      })
      expect(calls).toHaveLength(1)
    }
  })

  it('registers a worker nowhere but at an administration', async () => {
    const { url } = await openEngine([saying(200, '<html>')])
    await expect(registerRestate({ admin: url, uri: url })).rejects.toMatchObject({
      code: 'restate.call_failed',
      data: { target: 'deployments', status: 200, body: '<html>' },
    })
  })

  it.each(['', '{"rows":', '{"rows":7}'])('says so when the administration answers with %j', async (body) => {
    const { url } = await openEngine([saying(200, body)])
    await expect(connectRestate({ ingress: url, admin: url }).faults()).rejects.toMatchObject({
      code: 'restate.call_failed',
      data: { target: 'query', status: 200, body },
    })
  })
})
