import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDeferred } from '../../src/base/promises.js'
import { defineProcess } from '../../src/processes/public.js'
import { connectRestate, registerRestate, serveRestate, type RestateConnection } from '../../src/restate/index.js'
import { RestateIngress } from '../../src/restate/ingress.js'
import { Resources } from './support/resources.js'
import { startRestateServer } from './support/server.js'

const resources = new Resources()
let restate: RestateConnection
let ingress: string
const owner = { ownerId: 'test', incarnationId: 'one' }

const echo = defineProcess('echo', { disposition: 'rerunnable' }, (input: unknown, { step }) =>
  step('echo', () => input),
)
/** Never ends by itself. */
const held = defineProcess(
  'held',
  { disposition: 'rerunnable', maxAttempts: 2, signals: { never: v.unknown() } },
  async (_: unknown, { waitFor }) => {
    await waitFor('never')
  },
)
const bound = defineProcess(
  'bound',
  { disposition: 'owner_bound', signals: { never: v.unknown() } },
  async (_: unknown, { waitFor }) => {
    await waitFor('never')
  },
)
const failing = defineProcess('failing', { disposition: 'rerunnable' }, (_: unknown, { step }) =>
  step('fail', () => {
    throw Object.assign(new Error('no disk'), { code: 'ENOSPC' })
  }),
)

/** A process whose step goes on when it is told to. */
const gated = (kind: string) => {
  const begun = createDeferred<void>()
  const release = createDeferred<void>()
  const definition = defineProcess(kind, { disposition: 'rerunnable' }, (_: unknown, { step }) =>
    step('work', async () => {
      begun.resolve()
      await release.promise
      return 'by its run'
    }),
  )
  return { definition, begun, release }
}
const claimed = gated('claimed')
const late = gated('late')
const asking = defineProcess(
  'asking',
  { disposition: 'rerunnable', signals: { '1': v.unknown() } },
  (_: unknown, { waitFor }) => waitFor('1'),
)
const large = defineProcess('large', { disposition: 'rerunnable' }, () => 'x'.repeat(2 ** 20))

beforeAll(async () => {
  const server = resources.use(await startRestateServer())
  ingress = server.ingress
  const definitions = [echo, held, bound, failing, claimed.definition, late.definition, asking, large]
  const worker = resources.use(await serveRestate({ definitions, ingress }))
  await registerRestate({ admin: server.admin, uri: worker.uri })
  restate = connectRestate({ ingress, admin: server.admin })
})
afterAll(resources.close)

const newSession = () => restate.processes(randomUUID())

describe('a session on the engine', () => {
  it('runs a process and says what it came to, in the wait and in the feed alike (R-1, R-8)', async () => {
    const session = newSession()
    const handle = await session.start(echo, { text: 'cranes' })
    expect(await handle.result()).toEqual({ text: 'cranes' })
    expect(await restate.attach.awaitTerminal(handle.id)).toEqual({ type: 'success', value: { text: 'cranes' } })
    const { entries, watermark } = await session.since(0)
    expect(watermark).toBe(1)
    expect(entries).toEqual([
      {
        seq: 1,
        processId: handle.id,
        kind: 'echo',
        output: { type: 'success', value: { text: 'cranes' } },
        endedAtMs: expect.any(Number),
      },
    ])
    expect(await session.read(handle.id)).toMatchObject({ status: 'completed', fencingToken: 1, end: { seq: 1 } })
    expect(await session.read('nobody')).toBeUndefined()
  })

  it('tells what a step threw by its code', async () => {
    const handle = await newSession().start(failing, undefined)
    await expect(handle.result()).rejects.toMatchObject({
      code: 'process.failed',
      cause: { code: 'ENOSPC', message: 'no disk' },
    })
  })

  it('starts a process once under an id, and refuses another one there (R-9)', async () => {
    const session = newSession()
    const id = randomUUID()
    const first = await session.start(held, 1, { id })
    expect((await session.start(held, 1, { id })).invocationId).toBe(first.invocationId)
    await expect(session.start(held, 2, { id })).rejects.toMatchObject({ code: 'process.registration_conflict' })
    await session.cancel(id)
  })

  it('gives a token for each attempt, refuses late writes under an old one, and a second end changes nothing (R-4)', async () => {
    const session = newSession()
    const { id } = await session.start(held, undefined)
    expect(await session.claim(id, owner, 'a')).toMatchObject({ fencingToken: 1, attempt: 1 })
    await session.progress(id, 1, 'half')
    expect(await session.claim(id, { ...owner, incarnationId: 'two' }, 'a')).toMatchObject({
      fencingToken: 2,
      attempt: 2,
    })
    await expect(session.progress(id, 1)).rejects.toMatchObject({
      code: 'process.lease_superseded',
      data: { processId: id, fencingToken: 1 },
    })
    const output = { type: 'success', value: 1 } as const
    await expect(session.settle({ id, output, fencingToken: 1 })).rejects.toMatchObject({
      code: 'process.lease_superseded',
    })
    expect(await session.read(id)).toMatchObject({ status: 'running', progressCount: 1, progress: 'half' })
    await expect(session.claim(id, owner, 'a')).rejects.toMatchObject({ code: 'process.attempts_exhausted' })
    expect(await session.settle({ id, output, fencingToken: 2 })).toEqual({ seq: 1, output, isFirst: true })
    expect(await session.settle({ id, output: { type: 'cancelled', message: 'late' }, fencingToken: 1 })).toEqual({
      seq: 1,
      output,
      isFirst: false,
    })
    expect((await session.since(0)).watermark).toBe(1)
  })

  it('lets nobody begin anew what is bound to its owner, its owner included (R-4)', async () => {
    const session = newSession()
    const { id } = await session.start(bound, undefined)
    expect(await session.claim(id, owner, 'a')).toMatchObject({ fencingToken: 1 })
    expect(await session.claim(id, owner, 'b')).toMatchObject({ fencingToken: 1 })
    await expect(session.claim(id, owner, 'b')).rejects.toMatchObject({ code: 'process.already_started' })
    await expect(session.claim(id, { ...owner, incarnationId: 'two' }, 'c')).rejects.toMatchObject({
      code: 'process.already_started',
    })
    await session.cancel(id)
  })

  it('cancels: the end is in the feed at once, and the wait hears the same (R-8)', async () => {
    const session = newSession()
    const { id } = await session.start(held, undefined)
    const cancelled = { type: 'cancelled', message: 'not needed' }
    expect(await session.cancel(id, 'not needed')).toEqual({ seq: 1, output: cancelled, isFirst: true })
    expect(await restate.attach.awaitTerminal(id)).toEqual(cancelled)
    expect((await session.since(0)).entries.map(({ output }) => output)).toEqual([cancelled])
    await expect(session.signal(id, 'never')).rejects.toMatchObject({ code: 'process.already_terminal' })
  })

  it('refuses what it does not know or cannot read, by the codes of every store (R-11)', async () => {
    const session = newSession()
    await expect(session.cancel('nobody')).rejects.toMatchObject({ code: 'process.unknown' })
    await expect(session.progress('nobody', -1)).rejects.toMatchObject({
      code: 'invalid_input',
      data: { subject: 'progress', field: 'fencingToken' },
    })
    await expect(restate.attach.awaitTerminal('nobody')).rejects.toMatchObject({ code: 'process.unknown' })
  })

  it('moves cursors forward only, and not beyond the feed', async () => {
    const session = newSession()
    await (await session.start(echo, 1)).result()
    expect(await session.advanceCursor('agent', 7)).toBe(1)
    expect(await session.advanceCursor('agent', 0)).toBe(1)
    expect(await session.cursors()).toEqual({ agent: 1 })
  })

  it('tells a follower of every end once, in order, those included that come while it asks (R-2)', async () => {
    const session = newSession()
    const stop = new AbortController()
    const seen: number[] = []
    const following = (async () => {
      for await (const { seq } of session.follow({ signal: stop.signal })) {
        seen.push(seq)
        if (seq === 12) return
      }
    })()
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        const handle = await session.start(echo, index)
        await handle.result()
      }),
    )
    await following
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    // What has come before the question is told at once: nothing more comes to wake it.
    const late = session.follow({ after: 11, signal: AbortSignal.timeout(10_000) })
    expect((await late.next()).value).toMatchObject({ seq: 12 })
    await late.return()
  })

  it('lets one that follows from beyond the end of the feed wait until the feed is there (R-2)', async () => {
    const session = newSession()
    const next = session.follow({ after: 1, signal: AbortSignal.timeout(10_000) }).next()
    await Promise.all([session.start(echo, 1), session.start(echo, 2)])
    expect((await next).value).toMatchObject({ seq: 2 })
  })

  it('tells a run of an end from outside, and its wait hears the same (R-8)', async () => {
    const session = newSession()
    const { id } = await session.start(held, undefined)
    const { fencingToken } = await session.claim(id, owner, 'a')
    const output = { type: 'success', value: 'outside' } as const
    await session.settle({ id, output, fencingToken })
    expect(await restate.attach.awaitTerminal(id, { timeoutMs: 10_000 })).toEqual(output)
  })

  it('lets a run that somebody outside has claimed wait for his end, not end without one (R-4, R-8)', async () => {
    const session = newSession()
    const { id, output } = await session.start(claimed.definition, undefined)
    await claimed.begun.promise
    const { fencingToken } = await session.claim(id, owner, 'a')
    claimed.release.resolve()
    await expect(output({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'process.await_timeout' })
    const ended = { type: 'success', value: 'outside' } as const
    expect(await session.settle({ id, output: ended, fencingToken })).toMatchObject({ isFirst: true })
    expect(await output({ timeoutMs: 10_000 })).toEqual(ended)
  })

  it('takes nothing from a run whose earlier attempt claims late (R-4)', async () => {
    const session = newSession()
    const { id, output } = await session.start(late.definition, undefined)
    await late.begun.promise
    // As a worker asks that has not heard yet that its attempt is over.
    await new RestateIngress({ url: ingress }).call(
      ['stateward_processes', session.id, 'claim'],
      { id, owner, step: 'work', atMs: 0 },
      v.object({ fencingToken: v.literal(2) }),
    )
    late.release.resolve()
    expect(await output({ timeoutMs: 10_000 })).toEqual({ type: 'success', value: 'by its run' })
  })

  it('keeps what belongs to one process from another whose id begins alike', async () => {
    const session = newSession()
    const id = randomUUID()
    await session.start(held, undefined, { id })
    const other = await session.start(asking, undefined, { id: `${id}/x` })
    await session.signal(id, 'x')
    await session.signal(`${id}/x`, '1', 'for the other')
    expect(await other.result({ timeoutMs: 10_000 })).toBe('for the other')
    await session.cancel(id)
  })

  it('sends a signal once under a key of any text, which another process may have, too', async () => {
    const session = newSession()
    const one = await session.start(asking, 1)
    const other = await session.start(asking, 2)
    const key = 'Schlüssel – \ud800'
    await session.signal(one.id, '1', 'a', key)
    await session.signal(other.id, '1', 'b', key)
    expect([await one.result(), await other.result({ timeoutMs: 10_000 })]).toEqual(['a', 'b'])
  })

  it.each(['constructor', '__proto__'])('has a cursor for a consumer called %s', async (consumer) => {
    const session = newSession()
    await (await session.start(echo, 1)).result()
    expect(await session.advanceCursor(consumer, 1)).toBe(1)
    expect(Object.entries(await session.cursors())).toEqual([[consumer, 1]])
  })

  it('takes ids with what means something in a path, but for those that a URL takes for another path', async () => {
    const id = `${randomUUID()}/?#%2F'..`
    const handle = await restate.processes(id).start(echo, 1, { id })
    expect(await handle.result()).toBe(1)
    for (const dots of ['.', '..']) {
      expect(() => restate.processes(dots)).toThrow('no place in a URL')
      await expect(newSession().start(echo, 1, { id: dots })).rejects.toMatchObject({ code: 'invalid_input' })
      await expect(restate.attach.awaitTerminal(dots)).rejects.toMatchObject({ code: 'invalid_input' })
    }
  })

  it('refuses input, signal and output of more than a mebibyte, as every store does', async () => {
    const session = newSession()
    const text = 'x'.repeat(2 ** 20)
    const refusal = { code: 'invalid_input' }
    await expect(session.start(echo, text)).rejects.toMatchObject(refusal)
    const { id } = await session.start(held, undefined)
    await expect(session.signal(id, 'never', text)).rejects.toMatchObject(refusal)
    await expect(session.settle({ id, output: { type: 'success', value: text } })).rejects.toMatchObject(refusal)
    await session.cancel(id)
    expect(await (await session.start(large, 1)).output()).toMatchObject({
      type: 'failure',
      code: 'process_output_refused',
    })
  })

  it('forgets what every consumer of the feed has passed, and nothing else (R-13)', async () => {
    const session = newSession()
    const ids: string[] = []
    for (const input of [1, 2, 3]) {
      const { id, result } = await session.start(echo, input)
      await result()
      ids.push(id)
    }
    const open = await session.start(held, undefined)
    await session.advanceCursor('agent', 2)
    expect(await session.forget(3)).toBe(2)
    expect(await session.forget(1)).toBe(2)
    expect((await session.since(0)).entries.map(({ processId }) => processId)).toEqual([ids[2]])
    expect((await session.follow().next()).value).toMatchObject({ seq: 3 })
    expect(await Promise.all(ids.map(async (id) => (await session.read(id))?.id))).toEqual([
      undefined,
      undefined,
      ids[2],
    ])
    expect(await session.read(open.id)).toMatchObject({ status: 'running' })
    expect((await session.cancel(open.id)).seq).toBe(4)
    await session.advanceCursor('agent', 4)
    expect(await session.forget(4)).toBe(4)
    const next = session.follow({ signal: AbortSignal.timeout(10_000) }).next()
    await session.start(echo, 4)
    expect((await next).value).toMatchObject({ seq: 5 })
  })

  it('answers for a process by its row: at once when there is none, or it has ended', async () => {
    const session = newSession()
    await expect(session.output('nobody')).rejects.toMatchObject({ code: 'process.unknown' })
    const { id, output } = await session.start(echo, 1)
    expect(await session.output(id)).toEqual(await output())
    expect(await session.output(id)).toEqual({ type: 'success', value: 1 })
  })
})
