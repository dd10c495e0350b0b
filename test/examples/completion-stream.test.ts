import fc from 'fast-check'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { CompletionEntry, Session } from 'stateward'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createHttpHandler } from '../../src/http/index.js'
import { ask, openStream, type ServerSentEvent } from './support/client.js'
import { startService } from './support/service.js'

const kind = 'background_tool_op'

/** Runs operations to their end, one after another, directly in the session. */
async function complete(session: Session, count: number, content = 'done'): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    await session.run({ kind, displayName: `work ${number}` }, () => content).outcome
  }
}

const sequences = (events: readonly ServerSentEvent[]): number[] => events.map(({ data }) => data.seq)
const upTo = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

describe('the stream of completions', () => {
  it('gives what has completed, then what completes, each with the cursor to come back with', async () => {
    const { at, start, runtime } = await startService()
    const id = await start({ type: 'hash', text: 'abc' }, 'before')
    const session = runtime.session('one')
    const stream = await openStream(at('/sessions/one/completions'))
    expect([stream.status, stream.headers['content-type'], stream.headers['cache-control']]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
      'no-store',
    ])
    await complete(session, 2)
    await stream.until(() => stream.events.length === 3)
    expect(stream.events[0]).toMatchObject({
      id: `1@${session.epochId}`,
      event: 'completion',
      data: { seq: 1, operationId: id, displayName: 'before', kind, outcome: { type: 'completed' } },
    })
    expect(sequences(stream.events)).toEqual([1, 2, 3])
  })

  it.each([
    ['Last-Event-ID', (epoch: string) => openStreamArguments('', `2@${epoch}`)],
    ['Last-Event-ID without an epoch', () => openStreamArguments('', '2')],
    ['the query', (epoch: string) => openStreamArguments(`?after=2@${epoch}`)],
    [
      'Last-Event-ID, which counts more than the query',
      (epoch: string) => openStreamArguments('?after=0', `2@${epoch}`),
    ],
  ])('goes on after the cursor in %s', async (_, given) => {
    const { at, runtime } = await startService()
    const session = runtime.session('one')
    await complete(session, 4)
    const [query, lastEventId] = given(session.epochId)
    const stream = await openStream(at(`/sessions/one/completions${query}`), lastEventId)
    await stream.until(() => stream.events.length === 2)
    expect(sequences(stream.events)).toEqual([3, 4])
  })

  it('loses and repeats nothing, wherever clients break off', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 20 }), async (cuts) => {
        const count = 500
        const { at, runtime, service } = await startService()
        const session = runtime.session('one')
        const working = complete(session, count)
        const seen: CompletionEntry[] = []
        let cursor: string | undefined
        for (const cut of [...cuts, count]) {
          const stream = await openStream(at('/sessions/one/completions'), cursor)
          await stream.until(() => stream.events.length === Math.min(cut, count - seen.length))
          // The client crashes: of what has arrived, it has dealt with this much.
          stream.destroy()
          for (const { id, data } of stream.events) {
            seen.push(data)
            cursor = id
          }
          if (seen.length === count) break
        }
        await working
        expect(seen.map(({ seq }) => seq)).toEqual(upTo(count))
        expect(seen.map(({ displayName }) => displayName)).toEqual(upTo(count).map((seq) => `work ${seq - 1}`))
        await service.close()
      }),
      { numRuns: 5 },
    )
  })

  it('ends when the client goes, and leaves no timer and no listener behind', async () => {
    const { at, runtime, clock } = await startService()
    const session = runtime.session('one')
    await complete(session, 1)
    const streams = await Promise.all(upTo(5).map(() => openStream(at('/sessions/one/completions'))))
    await Promise.all(streams.map((stream) => stream.until(() => stream.events.length === 1)))
    await expect.poll(() => clock.pendingTimeouts).toBe(5)
    for (const stream of streams) stream.destroy()
    await expect.poll(() => clock.pendingTimeouts).toBe(0)
  })

  it('shows by a comment that it is alive, after each silence', async () => {
    const { at, runtime, clock } = await startService({ heartbeatMs: 15_000 })
    const session = runtime.session('one')
    await complete(session, 1)
    const stream = await openStream(at('/sessions/one/completions'))
    await stream.until(() => stream.events.length === 1)
    await expect.poll(() => clock.pendingTimeouts).toBe(1)
    clock.advance(10_000)
    await complete(session, 1)
    await stream.until(() => stream.events.length === 2)
    await expect.poll(() => clock.pendingTimeouts).toBe(1)
    // The completion was a sign of life.
    clock.advance(14_999)
    expect(stream.comments).toBe(0)
    clock.advance(1)
    await stream.until(() => stream.comments === 1)
    clock.advance(15_000)
    await stream.until(() => stream.comments === 2)
    expect(stream.events).toHaveLength(2)
  })
})

describe('a cursor', () => {
  it.each(['x', '-1', '1.5', '1e3', '9999999999999999', '1@', '1@somewhere'])('%s is refused', async (cursor) => {
    const { at, runtime } = await startService()
    await complete(runtime.session('one'), 1)
    const url = at('/sessions/one/completions')
    const refusal = { status: 400, body: { code: 'invalid_input', data: { subject: 'cursor', field: '$' } } }
    expect(await ask('GET', url, { headers: { 'last-event-id': cursor } })).toMatchObject(refusal)
    expect(await ask('GET', `${url}?after=${cursor}`)).toMatchObject(refusal)
  })

  it.each([
    ['ahead of all completions', (epoch: string) => `4@${epoch}`],
    ['ahead of all completions, without an epoch', () => '4'],
    ['of another epoch', () => '1@0199d2a0-0000-7000-8000-000000000001'],
  ])('%s is not waited for: the session is not the one it is of', async (_, cursorOf) => {
    const { at, runtime } = await startService()
    const session = runtime.session('one')
    await complete(session, 3)
    const cursor = cursorOf(session.epochId)
    expect(await ask('GET', at('/sessions/one/completions'), { headers: { 'last-event-id': cursor } })).toMatchObject({
      status: 409,
      body: { code: 'cursor_unknown', data: { cursor, epochId: session.epochId, watermark: 3 } },
    })
  })

  it('before the retained completions is answered 410 and an event that says what is gone', async () => {
    const { at, runtime } = await startService()
    // 1,024 completions are retained.
    await complete(runtime.session('one', { maxCompleted: 1 }), 1030)
    const stream = await openStream(at('/sessions/one/completions'), '5')
    await stream.ended
    expect(stream.status).toBe(410)
    expect(stream.events).toEqual([
      {
        id: undefined,
        event: 'gap',
        data: { code: 'feed_gap', requestedAfterSeq: 5, droppedThrough: 6, watermark: 1030 },
      },
    ])
    const resumed = await openStream(at('/sessions/one/completions'), '6')
    await resumed.until(() => resumed.events.length === 1024)
    expect(sequences(resumed.events)).toEqual(upTo(1030, 7))
  })
})

describe('a client that reads slowly', () => {
  /** Fills every buffer between service and client. */
  const large = 'x'.repeat(8 * 1024 * 1024)
  const medium = 'x'.repeat(64 * 1024)

  it('is waited for: the service holds no more than one completion for it', async () => {
    const { runtime, clock } = await startService()
    const session = runtime.session('one')
    const handler = createHttpHandler({ runtime, clock, unprotected: true, heartbeatMs: 1000, stallMs: 60_001 })
    const responses: ServerResponse[] = []
    const server = createServer((request, response) => {
      responses.push(response)
      handler.node(request, response)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    await complete(session, 1)
    const stream = await openStream(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/sessions/one/completions`,
    )
    await stream.until(() => stream.events.length === 1)
    stream.pause()
    let mostHeld = 0
    for (let number = 0; number < 300; number += 1) {
      await complete(session, 1, medium)
      await setImmediate()
      mostHeld = Math.max(mostHeld, responses[0]?.writableLength ?? 0)
    }
    // The buffers of the system are full by now, or nothing would be held at all.
    expect(mostHeld).toBeGreaterThan(0)
    expect(mostHeld).toBeLessThan(2 * medium.length)
    // Nor does a sign of life add to what is not read.
    clock.advance(60_000)
    expect(responses[0]?.writableLength).toBeLessThan(2 * medium.length)
    stream.resume()
    await stream.until(() => stream.events.length === 301)
    expect(sequences(stream.events)).toEqual(upTo(301))
    expect([...new Set(stream.events.slice(1).map(({ data }) => data.outcome.result.content === medium))]).toEqual([
      true,
    ])
  })

  it('is told of the gap when it falls behind what is retained, and the stream ends', async () => {
    const { at, runtime } = await startService()
    const session = runtime.session('one', { maxCompleted: 1 })
    await complete(session, 1)
    const stream = await openStream(at('/sessions/one/completions'))
    await stream.until(() => stream.events.length === 1)
    stream.pause()
    await complete(session, 1, large)
    await setImmediate()
    await complete(session, 1100)
    stream.resume()
    await stream.ended
    const gap = stream.events.at(-1)
    expect(gap).toEqual({
      id: undefined,
      event: 'gap',
      data: { code: 'feed_gap', requestedAfterSeq: 2, droppedThrough: 78, watermark: 1102 },
    })
    expect(sequences(stream.events.slice(0, -1))).toEqual([1, 2])
  })
})

describe('a service that is stopped', () => {
  it('winds work down, delivers its completions, ends the streams and takes nothing new', async () => {
    const { at, start, service, clock } = await startService()
    await start({ type: 'sleep', ms: 60_000 }, 'nap')
    const stream = await openStream(at('/sessions/one/completions'))
    const waiting = await openStream(at('/sessions/one/completions'))
    await service.close()
    await Promise.all([stream.ended, waiting.ended])
    expect(stream.events).toMatchObject([
      {
        event: 'completion',
        data: { displayName: 'nap', outcome: { type: 'completed', result: { content: 'woken early' } } },
      },
    ])
    await expect(ask('GET', at('/healthz'))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('waits for a client that does not read no longer than the grace period', async () => {
    const { at, runtime, service, clock } = await startService({ graceMs: 1000 })
    const session = runtime.session('one')
    await complete(session, 1)
    const stream = await openStream(at('/sessions/one/completions'))
    await stream.until(() => stream.events.length === 1)
    stream.pause()
    await complete(session, 2, 'x'.repeat(8 * 1024 * 1024))
    const closed = service.close()
    // That of the client who does not read, and that of the grace period.
    await expect.poll(() => clock.pendingTimeouts).toBe(2)
    clock.advance(999)
    expect(await Promise.race([closed.then(() => 'closed'), setImmediate('open')])).toBe('open')
    clock.advance(1)
    await closed
    stream.resume()
    await expect(stream.ended).rejects.toThrow('aborted')
  })
})

function openStreamArguments(query: string, lastEventId?: string): [string, string | undefined] {
  return [query, lastEventId]
}
