import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { defineProcess } from '../../src/processes/public.js'
import { connectRestate, registerRestate, serveRestate, type RestateConnection } from '../../src/restate/index.js'
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

beforeAll(async () => {
  const server = resources.use(await startRestateServer())
  ingress = server.ingress
  const worker = resources.use(await serveRestate({ definitions: [echo, held, bound, failing], ingress }))
  await registerRestate({ admin: server.admin, uri: worker.uri })
  restate = connectRestate({ ingress, admin: server.admin })
})
afterAll(resources.close)

const newSession = () => restate.session(randomUUID())

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

  it('refuses what it does not know or cannot read, by the codes of every store', async () => {
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
  })
})
