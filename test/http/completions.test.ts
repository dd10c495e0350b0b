import { setImmediate } from 'node:timers/promises'
import type { Runtime } from 'stateward'
import { describe, expect, it } from 'vitest'
import { ask, openStream } from '../examples/support/client.js'
import { endTasks, serve } from './support/serve.js'

/** Ends as the feed has them. */
const endsOf = (runtime: Runtime) => runtime.tasks.feed.since(0).entries

describe('ends of tasks over a real connection', () => {
  it('come as what has ended, then what ends, each with the cursor to come back with', async () => {
    const { at, runtime } = await serve()
    await endTasks(runtime, 2)
    const stream = await openStream(at('/tasks/completions'))
    expect([stream.status, stream.headers['content-type'], stream.headers['cache-control']]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
      'no-store',
    ])
    await endTasks(runtime, 2)
    await stream.until(() => stream.events.length === 4)
    expect(stream.events).toEqual(
      endsOf(runtime).map((end) => ({ id: `${end.seq}`, event: 'completion', data: JSON.parse(JSON.stringify(end)) })),
    )
    const later = await openStream(at('/tasks/completions?after=0'), stream.events[2]?.id)
    await later.until(() => later.events.length === 1)
    expect(later.events).toEqual(stream.events.slice(3))
  })

  it('that are gone are told by 410 and an event, again and again', async () => {
    const { at, runtime } = await serve({ unprotected: true }, { tasks: { feedCapacity: 2 } })
    await endTasks(runtime, 4)
    const [first] = endsOf(runtime)
    const stream = await openStream(at('/tasks/completions'), '1')
    await stream.ended
    const gap = runtime.tasks.feed.gapAfter(1)
    expect([stream.status, stream.events]).toEqual([
      410,
      [{ id: undefined, event: 'gap', data: { code: 'feed_gap', ...gap } }],
    ])
    const resumed = await openStream(at(`/tasks/completions?after=${gap?.droppedThrough}`))
    await resumed.until(() => resumed.events.length === 2)
    expect(resumed.events[0]?.id).toBe(`${first?.seq}`)
  })

  it('end with the runtime, and leave no timer, no listener and no connection', async () => {
    const { at, runtime, clock, connections } = await serve()
    await endTasks(runtime, 1)
    runtime.session('one')
    const streams = await Promise.all(
      ['/tasks/completions', '/tasks/completions', '/sessions/one/completions'].map((path) => openStream(at(path))),
    )
    await expect.poll(() => clock.pendingTimeouts).toBe(3)
    await runtime.close()
    await Promise.all(streams.map(({ ended }) => ended))
    await expect.poll(connections).toBe(0)
    expect(clock.pendingTimeouts).toBe(0)
    // What comes later is given what there is.
    const late = await openStream(at('/tasks/completions'))
    await late.ended
    expect(late.events).toHaveLength(1)
  })

  it('are sent to no more clients at once than the service takes', async () => {
    const { at, fetch, clock } = await serve({ unprotected: true, maxStreams: 2 })
    const first = await openStream(at('/tasks/completions'))
    const second = await fetch('/tasks/completions')
    const refusal = { status: 503, body: { code: 'too_many_streams', data: { limit: 2 } } }
    expect(await ask('GET', at('/tasks/completions'))).toMatchObject(refusal)
    expect((await fetch('/tasks/completions')).status).toBe(503)
    first.destroy()
    await expect.poll(async () => (await fetch('/tasks/completions')).status).toBe(200)
    await second.body?.cancel()
    expect((await fetch('/tasks/completions')).status).toBe(200)
    expect((await fetch('/tasks/completions')).status).toBe(503)
    // Two that nobody has begun to read.
    expect(clock.pendingTimeouts).toBe(2)
    clock.advance(30_000)
    expect(clock.pendingTimeouts).toBe(0)
    expect((await fetch('/tasks/completions')).status).toBe(200)
  })

  it('wait for a client that does not read, which is hung up on when it has stalled, and loses nothing', async () => {
    const { at, runtime, clock, connections, faults } = await serve({ unprotected: true, stallMs: 1000 })
    const session = runtime.session('one')
    const content = 'x'.repeat(8 * 1024 * 1024)
    const complete = () => session.run({ kind: 'background_tool_op', displayName: 'large' }, () => content).outcome
    await complete()
    const stream = await openStream(at('/sessions/one/completions'))
    await stream.until(() => stream.events.length === 1)
    stream.pause()
    for (let number = 0; number < 3; number += 1) await complete()
    // Buffers of the system fill up, and each time something is read the time begins anew.
    await expect
      .poll(async () => {
        clock.advance(1000)
        await setImmediate()
        return connections()
      })
      .toBe(0)
    expect(clock.pendingTimeouts).toBe(0)
    stream.resume()
    await expect(stream.ended).rejects.toThrow('aborted')
    const again = await openStream(at('/sessions/one/completions'), stream.events.at(-1)?.id)
    await again.until(() => stream.events.length + again.events.length === 4)
    expect(again.events.at(-1)?.data.seq).toBe(4)
    expect(faults).toEqual([])
  })
})

describe('ends of tasks over Fetch', () => {
  const textOf = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> => {
    const { value } = await reader.read()
    return new TextDecoder().decode(value)
  }
  const readerOf = (response: Response): ReadableStreamDefaultReader<Uint8Array> => {
    if (response.body === null) throw new Error('an answer without a body')
    return response.body.getReader()
  }

  it('come one by one as they are read, with a sign of life in each silence', async () => {
    const { fetch, runtime, clock } = await serve({ unprotected: true, heartbeatMs: 500 })
    await endTasks(runtime, 2)
    const [first, second] = endsOf(runtime)
    const response = await fetch('/tasks/completions', { headers: { 'last-event-id': `${first?.seq}` } })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
    const reader = readerOf(response)
    expect(await textOf(reader)).toBe(`id: ${second?.seq}\nevent: completion\ndata: ${JSON.stringify(second)}\n\n`)
    const silence = textOf(reader)
    await expect.poll(() => clock.pendingTimeouts).toBe(1)
    clock.advance(500)
    expect(await silence).toBe(': still here\n\n')
    const next = textOf(reader)
    await endTasks(runtime, 1)
    expect(await next).toContain(`id: ${endsOf(runtime)[2]?.seq}\n`)
    const last = reader.read()
    await runtime.close()
    expect(await last).toMatchObject({ done: true })
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('leave nothing behind when the client goes: by cancelling, by its signal, in the middle of a wait or not', async () => {
    const { fetch, runtime, clock } = await serve()
    await endTasks(runtime, 1)
    const client = new AbortController()
    const streams = await Promise.all(
      [undefined, undefined, client.signal, client.signal].map((signal) =>
        fetch('/tasks/completions', signal === undefined ? {} : { signal }),
      ),
    )
    const readers = streams.map(readerOf)
    for (const reader of readers) expect(await textOf(reader)).toContain('event: completion')
    const waiting = [readers[1]?.read(), readers[3]?.read()]
    await expect.poll(() => clock.pendingTimeouts).toBe(4)
    await Promise.all([readers[0]?.cancel(), readers[1]?.cancel()])
    client.abort()
    expect(await waiting[0]).toMatchObject({ done: true })
    await expect(waiting[1]).rejects.toMatchObject({ code: 'client_gone' })
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('are not waited for by a client that has stalled', async () => {
    const { fetch, runtime, clock } = await serve({ unprotected: true, stallMs: 700 })
    await endTasks(runtime, 3)
    const reader = readerOf(await fetch('/tasks/completions'))
    await textOf(reader)
    await expect.poll(() => clock.pendingTimeouts).toBe(1)
    clock.advance(699)
    await textOf(reader)
    await expect.poll(() => clock.pendingTimeouts).toBe(1)
    clock.advance(700)
    await expect(reader.read()).rejects.toMatchObject({ code: 'client_stalled', data: { stallMs: 700 } })
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('of a signal that was aborted before are not begun', async () => {
    const { fetch, clock } = await serve()
    const response = await fetch('/tasks/completions', { signal: AbortSignal.abort() })
    expect([response.status, clock.pendingTimeouts]).toEqual([499, 0])
    expect((await fetch('/tasks')).status).toBe(200)
  })
})
