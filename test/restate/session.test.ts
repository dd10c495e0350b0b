import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createUuidSource } from '../../src/base/ids.js'
import { createDeferred } from '../../src/base/promises.js'
import { defineProcess } from '../../src/processes/public.js'
import {
  connectRestate,
  defineOperation,
  registerRestate,
  serveRestate,
  type RestateConnection,
  type RestateSession,
} from '../../src/restate/index.js'
import type { OperationId, OperationSpec } from '../../machines/index.js'
import { RestateIngress } from '../../src/restate/ingress.js'
import { Resources } from './support/resources.js'
import { startRestateServer } from './support/server.js'
import { stateOf } from './support/state.js'

const resources = new Resources()
const ids = createUuidSource({ now: () => Date.now() })
let restate: RestateConnection
let ingress: string
let admin: string
const owner = { ownerId: 'test', incarnationId: 'one' }
const rerunnable = { disposition: 'rerunnable' } as const

const newId = (): OperationId => ids.uuid() as OperationId
const newSession = (): RestateSession => restate.session(randomUUID())
const specOf = (session: RestateSession, parts: Partial<OperationSpec> = {}): OperationSpec => ({
  id: newId(),
  kind: 'background_tool_op',
  ownerSessionId: session.id,
  displayName: 'by hand',
  sourceLabel: 'test',
  childSessionId: null,
  expectPeerChannel: false,
  ...parts,
})

const begun = createDeferred<AbortSignal>()
const release = createDeferred<void>()
const double = defineProcess('double', rerunnable, (input: number) => 2 * input)

const echo = defineOperation('echo', rerunnable, (input: unknown) => input)
const counted = defineOperation(
  'counted',
  { input: v.object({ text: v.string() }), output: v.object({ length: v.number() }), ...rerunnable },
  ({ text }, { step }) =>
    step('count', ({ progress, useTokens, fencingToken }) => {
      progress(`token ${fencingToken}`, 0.5)
      useTokens(3)
      return { length: text.length }
    }),
)
const failing = defineOperation('failing', rerunnable, (_: unknown, { step }) =>
  step('fail', () => {
    throw Object.assign(new Error('no disk'), { code: 'ENOSPC' })
  }),
)
/** Never ends by itself. */
const held = defineOperation('held', rerunnable, (_: unknown, { step, waitFor }) =>
  step('begin', () => 1).then(() => waitFor('go')),
)
const slow = defineOperation('slow', { disposition: 'owner_bound' }, (_: unknown, { step }) =>
  step('work', async ({ signal }) => {
    begun.resolve(signal)
    await release.promise
    return 'too late'
  }),
)
const durable = defineOperation('durable', rerunnable, async (_: unknown, { step, sleep, waitFor, call, attempt }) => {
  const first = await step('first', () => 20)
  await sleep(10)
  const answer = await waitFor('answer', v.number())
  return { sum: first + answer + (await call(double, 1)), attempt }
})

const chatty = defineOperation('chatty', rerunnable, (count: number, { step }) =>
  step('report', ({ progress }) => {
    for (let line = 1; line <= count; line += 1) progress(`line ${line}`)
  }),
)
const large = defineOperation('large', rerunnable, (length: number, { step }) =>
  step('write', () => 'x'.repeat(length)),
)

beforeAll(async () => {
  const server = resources.use(await startRestateServer())
  ingress = server.ingress
  admin = server.admin
  const definitions = [echo, counted, failing, held, slow, durable, double, chatty, large]
  const worker = resources.use(await serveRestate({ definitions, ingress, completionsKept: 16 }))
  await registerRestate({ admin: server.admin, uri: worker.uri })
  restate = connectRestate({ ingress, admin: server.admin, outageMs: 5000 })
})
afterAll(resources.close)

describe('an operation on the engine', () => {
  it('that reports all the time sends no more than the session takes, and the latest', async () => {
    const session = newSession()
    const handle = await session.run(chatty, 1000)
    expect(await handle.outcome).toMatchObject({ type: 'completed' })
    expect(await session.operations.snapshot(handle.id)).toMatchObject({
      progressCount: 2,
      progress: { message: 'line 1000' },
    })
  })

  it('is refused the result of a step that no store would take', async () => {
    const handle = await newSession().run(large, 1_048_576)
    expect(await handle.outcome).toMatchObject({
      type: 'failed',
      error: expect.stringMatching(/^invalid result of step write: .* bytes exceed the limit of 1048576$/),
    })
  })

  it('that no worker has is ended by a cancel and by its deadline, and who waits is told (R-8)', async () => {
    const session = newSession()
    const handle = await session.run('nobody', 1, rerunnable)
    const late = await session.run('nobody', 1, { ...rerunnable, deadlineMs: 100 })
    expect(await handle.cancel('not needed')).toBe('cancelled')
    expect(await handle.outcome).toEqual({ type: 'cancelled', reason: 'not needed' })
    expect(await late.outcome).toMatchObject({ type: 'failed', reason: 'deadline' })
  })

  it('is run by a worker, and its wait, its row and the feed say the same (R-1, R-8, R-14)', async () => {
    const session = newSession()
    const handle = await session.run(counted, { text: 'cranes' }, { displayName: 'count cranes' })
    expect(await handle.result()).toEqual({ length: 6 })
    const outcome = await handle.outcome
    expect(outcome).toEqual({
      type: 'completed',
      result: {
        id: handle.id,
        content: '{"length":6}',
        isError: false,
        durationMs: expect.any(Number),
        tokensUsed: 3,
      },
    })
    const { entries, watermark, droppedThrough } = await session.feed.since(0)
    expect([watermark, droppedThrough]).toEqual([1, 0])
    expect(entries).toEqual([
      {
        seq: 1,
        operationId: handle.id,
        kind: 'background_tool_op',
        displayName: 'count cranes',
        outcome,
        completedAtMs: expect.any(Number),
      },
    ])
    expect(await session.operations.snapshot(handle.id)).toMatchObject({
      id: handle.id,
      status: 'completed',
      terminal: true,
      publicResultClass: 'completed',
      sourceLabel: 'counted',
      ownerSessionId: session.id,
      input: { text: 'cranes' },
      outcome,
      progressCount: 1,
      progress: { message: 'token 1', fraction: 0.5 },
      fencingToken: 1,
      attempt: 1,
      work: 'counted',
    })
    expect(await session.outcome(handle.id)).toEqual(outcome)
    expect(await session.operations.activeCount()).toBe(0)
  })

  it('hands out text as text, nothing as nothing, and a value as a value', async () => {
    const session = newSession()
    const values = ['7', 7, undefined, null, { a: [1] }]
    const handles = await Promise.all(values.map((value) => session.run(echo, value)))
    expect(await session.all(handles)).toEqual(values)
    const outcomes = await Promise.all(handles.map(({ outcome }) => outcome))
    const contents = outcomes.map((outcome) => (outcome.type === 'completed' ? outcome.result.content : outcome.type))
    expect(contents).toEqual(['7', '7', '', 'null', '{"a":[1]}'])
  })

  it('fails with what its work threw, and refuses input and output that its schemas do not take', async () => {
    const session = newSession()
    const handle = await session.run(failing, undefined)
    await expect(handle.result()).rejects.toMatchObject({
      code: 'operation_failed',
      data: { outcome: { type: 'failed', error: 'no disk', reason: 'threw' } },
      cause: { code: 'ENOSPC' },
    })
    await expect(session.run(counted, { text: 7 as never })).rejects.toMatchObject({ code: 'invalid_input' })
    const named = await session.run('counted', { text: 7 }, rerunnable)
    expect(await named.outcome).toMatchObject({ type: 'failed', reason: 'refused' })
  })

  it('does durable work: steps, sleeps, answers and calls (R-10, R-12)', async () => {
    const session = newSession()
    const handle = await session.run(durable, undefined)
    await session.signal(handle.id, 'answer', 3)
    expect(await handle.result()).toEqual({ sum: 25, attempt: 1 })
    await expect(session.signal(handle.id, 'answer', 4)).rejects.toMatchObject({
      code: 'invalid_transition',
      data: { id: handle.id, status: 'completed', action: 'signal' },
    })
    await expect(session.signal(newId(), 'answer')).rejects.toMatchObject({ code: 'not_found' })
  })

  it('is known by its id within its session only: another session may use the same (R-17)', async () => {
    const id = newId()
    const sessions = [newSession(), newSession()] as const
    const handles = await Promise.all(sessions.map((session) => session.run(durable, undefined, { id })))
    const cancelled = await newSession().run(durable, undefined, { id })
    expect(await cancelled.cancel('not needed')).toBe('cancelled')
    await sessions[0].signal(id, 'answer', 3)
    await sessions[1].signal(id, 'answer', 4)
    expect(await Promise.all(handles.map((handle) => handle.result()))).toEqual([
      { sum: 25, attempt: 1 },
      { sum: 26, attempt: 1 },
    ])
    expect(await cancelled.outcome).toEqual({ type: 'cancelled', reason: 'not needed' })
  })

  it('cancelled in the middle of a step, has ended in feed and wait before its work has stopped (R-8)', async () => {
    const session = newSession()
    const handle = await session.run(slow, undefined)
    const signal = await begun.promise
    expect(await handle.cancel('not needed')).toBe('cancelled')
    const cancelled = { type: 'cancelled', reason: 'not needed' }
    expect((await session.feed.since(0)).entries.map(({ outcome }) => outcome)).toEqual([cancelled])
    expect(await handle.outcome).toEqual(cancelled)
    await expect.poll(() => signal.aborted).toBe(true)
    release.resolve()
    expect(await handle.cancel()).toBe('already_ended')
    expect(await session.feed.watermark()).toBe(1)
    expect(await session.outcome(handle.id)).toEqual(cancelled)
  })

  it('fails at its deadline, and is cancelled by the signal of its caller', async () => {
    const session = newSession()
    const late = await session.run(held, undefined, { deadlineMs: 100 })
    expect(await late.outcome).toMatchObject({
      type: 'failed',
      reason: 'deadline',
      error: 'deadline of 100 ms exceeded',
    })
    const abort = new AbortController()
    const { outcome } = await session.run(held, undefined, { signal: abort.signal })
    abort.abort(new Error('enough'))
    expect(await outcome).toEqual({ type: 'cancelled', reason: 'enough' })
    await expect(session.run(held, undefined, { signal: abort.signal })).rejects.toThrow('enough')
    expect(await session.feed.watermark()).toBe(2)
    // While the start is on its way.
    const early = new AbortController()
    const starting = session.run(held, undefined, { signal: early.signal })
    await new Promise(setImmediate)
    early.abort(new Error('changed my mind'))
    expect(await (await starting).outcome).toEqual({ type: 'cancelled', reason: 'changed my mind' })
  })

  it('ends with the one that it is a part of, in the same change; nothing starts below what has ended (R-14)', async () => {
    const session = newSession()
    const parent = await session.run(held, undefined)
    const part = await session.run(held, undefined, { parent })
    const below = await session.run(held, undefined, { parent: part.id })
    const other = await session.run(held, undefined, { parent, outlivesParent: true })
    await parent.cancel()
    const { entries } = await session.feed.since(0)
    expect(entries.map(({ operationId }) => operationId)).toEqual([parent.id, part.id, below.id])
    expect(await below.outcome).toEqual({ type: 'cancelled', reason: `parent ${parent.id} has ended: cancelled` })
    expect(await session.operations.activeCount()).toBe(1)
    await expect(session.run(echo, 1, { parent })).rejects.toMatchObject({
      code: 'parent_ended',
      data: { parentId: parent.id },
    })
    await expect(session.run(echo, 1, { parent: newId() })).rejects.toMatchObject({ code: 'parent_not_found' })
    await other.cancel()
  })
})

describe('a session on the engine', () => {
  it('refuses what one in a process refuses, by the same codes (R-11, R-14)', async () => {
    const session = newSession()
    const { operations } = session
    const id = newId()
    const unknown = newId()
    await session.run(held, undefined, { id })
    await expect(session.run(held, undefined, { id })).rejects.toMatchObject({
      code: 'already_registered',
      data: { id },
    })
    await operations.limitConcurrency(1)
    await expect(session.run(echo, 1)).rejects.toMatchObject({
      code: 'max_concurrent_exceeded',
      data: { limit: 1, active: 1 },
    })
    const second = await session.run(echo, 1, { limit: 2 })
    expect(await second.result()).toBe(1)
    await expect(operations.cancelOperation(unknown)).rejects.toMatchObject({
      code: 'not_found',
      data: { id: unknown },
    })
    await expect(operations.reportProgress(unknown, { message: 'x' })).rejects.toMatchObject({ code: 'not_found' })
    await expect(session.outcome(unknown)).rejects.toMatchObject({ code: 'not_found' })
    await expect(operations.waitAll([id, id])).rejects.toMatchObject({ code: 'duplicate_wait_operation', data: { id } })
    await expect(operations.waitAll([unknown])).rejects.toMatchObject({ code: 'not_found' })
    await expect(operations.abortProvisioning(second.id)).rejects.toMatchObject({
      code: 'invalid_transition',
      data: { id: second.id, status: 'completed', action: 'abort_provisioning' },
    })
    await expect(session.run(echo, 1, { displayName: 'x'.repeat(1025), limit: 9 })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'displayName' },
    })
    await expect(session.run(echo, 1, { shown: true } as never)).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'shown' },
    })
    await expect(
      operations.registerOperation(specOf(session, { ownerSessionId: 'somebody' as never })),
    ).rejects.toMatchObject({ code: 'invalid_input', data: { field: 'ownerSessionId' } })
    await operations.cancelOperation(id)
  })

  it('lets a host drive what has no code: claimed once, and written under its token alone (R-4)', async () => {
    const session = newSession()
    const { operations } = session
    const spec = specOf(session)
    const { id } = spec
    await operations.registerOperation(spec)
    await expect(operations.reportProgress(id, { message: 'early' })).rejects.toMatchObject({
      code: 'invalid_transition',
    })
    const claim = await operations.claim(id, owner)
    expect(claim).toEqual({ fencingToken: 1, attempt: 1 })
    expect((await operations.snapshot(id))?.status).toBe('running')
    for (const claimant of [owner, { ownerId: 'other', incarnationId: 'two' }])
      await expect(operations.claim(id, claimant)).rejects.toMatchObject({
        code: 'already_claimed',
        data: { operationId: id, owner: 'one' },
      })
    await operations.reportProgress(id, { message: 'half', fraction: 0.5 }, claim)
    const late = { fencingToken: 9 }
    await expect(operations.reportProgress(id, { message: 'late' }, late)).rejects.toMatchObject({
      code: 'lease_superseded',
      data: { operationId: id, fencingToken: 9 },
    })
    const result = { id, content: 'done', isError: false, durationMs: 5, tokensUsed: 0 }
    await expect(operations.completeOperation(id, result, late)).rejects.toMatchObject({ code: 'lease_superseded' })
    const waited = operations.waitAll([id])
    await operations.completeOperation(id, result, claim)
    const outcome = { type: 'completed', result }
    expect(await waited).toEqual([{ operationId: id, outcome }])
    expect(await session.outcome(id)).toEqual(outcome)
    await expect(operations.failOperation(id, 'again')).rejects.toMatchObject({
      code: 'invalid_transition',
      data: { status: 'completed', action: 'fail_operation' },
    })
    await expect(operations.claim(id, owner, 'more')).rejects.toMatchObject({ code: 'invalid_transition' })
  })

  it('gives a token for each attempt of what may run again, and counts them (R-4)', async () => {
    const session = newSession()
    const { operations } = session
    const { id } = await session.run('held', undefined, { disposition: 'rerunnable', maxAttempts: 3 })
    await expect.poll(async () => (await operations.snapshot(id))?.fencingToken).toBe(1)
    expect(await operations.claim(id, owner)).toEqual({ fencingToken: 2, attempt: 2 })
    expect(await operations.claim(id, owner)).toEqual({ fencingToken: 3, attempt: 3 })
    await expect(operations.reportProgress(id, { message: 'x' }, { fencingToken: 2 })).rejects.toMatchObject({
      code: 'lease_superseded',
    })
    await expect(operations.claim(id, owner)).rejects.toMatchObject({
      code: 'attempts_exhausted',
      data: { operationId: id, maxAttempts: 3 },
    })
    await operations.terminateOperation(id, 'enough')
    expect(await session.outcome(id)).toEqual({ type: 'terminated', reason: 'enough' })
  })

  it('winds down what its host drives, and keeps no trace of capacity slots', async () => {
    const session = newSession()
    const { operations } = session
    const spec = specOf(session)
    const slot = specOf(session, { kind: 'background_tool_capacity_slot' })
    for (const { id } of [spec, slot]) {
      await operations.registerOperation(id === spec.id ? spec : slot)
      await operations.provisioningSucceeded(id)
    }
    await operations.requestRetire(spec.id)
    expect((await operations.snapshot(spec.id))?.status).toBe('retiring')
    await operations.cancelOperation(slot.id)
    expect(await operations.snapshot(slot.id)).toBeUndefined()
    await operations.markRetired(spec.id)
    expect((await session.feed.since(0)).entries.map(({ operationId, outcome }) => [operationId, outcome])).toEqual([
      [spec.id, { type: 'retired' }],
    ])
  })

  it('follows its feed: every end once, in order; a gap is told, and cursors never go back (R-2, R-13)', async () => {
    const session = newSession()
    const seen: number[] = []
    const following = (async () => {
      for await (const { seq } of session.feed.entries()) {
        seen.push(seq)
        if (seq === 8) return
      }
    })()
    await session.all(await Promise.all(Array.from({ length: 8 }, (_, index) => session.run(echo, index))))
    await following
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    const advance = session.feed.waitForAdvance(8, { signal: AbortSignal.timeout(10_000) })
    await session.run(echo, 9)
    expect(await advance).toBe(9)
    const gap = { requestedAfterSeq: 11, watermark: 9, droppedThrough: 0 }
    expect(await session.feed.gapAfter(11)).toEqual(gap)
    await expect(session.feed.entries({ after: 11 }).next()).rejects.toMatchObject({ code: 'feed_gap', data: gap })
    expect(await session.operations.advanceCompletionCursor('agent_applied', 7)).toBe(7)
    expect(await session.operations.advanceCompletionCursor('agent_applied', 2)).toBe(7)
    expect(await session.operations.completionCursors()).toEqual({
      agent_applied: 7,
      runtime_observed: 0,
      runtime_injected: 0,
    })
    await expect(session.operations.advanceCompletionCursor('nobody' as never, 2)).rejects.toMatchObject({
      code: 'invalid_input',
    })
  })

  it('asks once for what comes behind a place, however often that is given up (R-6)', async () => {
    const session = newSession()
    const waiting = async (): Promise<unknown> =>
      JSON.parse((await stateOf(admin, { service: 'stateward_session', key: session.id }))['waiters'] ?? '[]')
    for (let round = 1; round <= 4; round += 1) {
      const abort = new AbortController()
      const wait = session.feed.waitForAdvance(0, abort)
      await expect.poll(waiting).toHaveLength(1)
      abort.abort(new Error('not now'))
      await expect(wait).rejects.toThrow('not now')
    }
    const all = Promise.all([session.feed.waitForAdvance(0), session.feed.entries().next()])
    await (await session.run(echo, 'one')).outcome
    const [watermark, { value }] = await all
    expect([watermark, value?.seq]).toEqual([1, 1])
    await (await session.run(echo, 'two')).outcome
    expect(await session.feed.waitForAdvance(0)).toBe(2)
    expect(await session.feed.waitForAdvance(1)).toBe(2)
  })

  it('drops the oldest rows with what they tell of, and says so to whoever is too late (R-13)', async () => {
    const session = newSession()
    const { operations, feed } = session
    const specs = Array.from({ length: 20 }, () => specOf(session))
    for (const spec of specs) {
      await operations.registerOperation(spec)
      await operations.cancelOperation(spec.id)
    }
    const [first, fifth] = [specs[0]?.id as OperationId, specs[4]?.id as OperationId]
    const { entries, ...stood } = await feed.since(0)
    expect(stood).toEqual({ watermark: 20, droppedThrough: 4 })
    expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: 16 }, (_, place) => place + 5))
    expect(await Promise.all([first, fifth].map(async (id) => (await operations.snapshot(id))?.status))).toEqual([
      undefined,
      'cancelled',
    ])
    await expect(feed.entries().next()).rejects.toMatchObject({
      code: 'feed_gap',
      data: { requestedAfterSeq: 0, watermark: 20, droppedThrough: 4 },
    })
    expect((await feed.entries({ after: 4 }).next()).value).toMatchObject({ seq: 5, operationId: fifth })
    await expect(operations.waitAll([fifth, first])).rejects.toMatchObject({
      code: 'no_longer_retained',
      data: { id: first },
    })
  })

  it('waits for all, and says which failed first once all have ended', async () => {
    const session = newSession()
    const handles = [await session.run(held, 1), await session.run(failing, 2), await session.run(echo, 3)]
    const all = session.all(handles)
    all.catch(() => {})
    await handles[1]?.outcome
    await session.signal(handles[0]?.id as OperationId, 'go')
    await expect(all).rejects.toMatchObject({ code: 'operation_failed', data: { id: handles[1]?.id } })
    expect(await session.all([])).toEqual([])
  })

  it('is waited for by one question, however often that is given up, and one that came too early is asked anew (R-6)', async () => {
    const session = newSession()
    const spec = specOf(session)
    const { id } = spec
    const early = new AbortController()
    const tooEarly = session.operations.waitAll([id], early)
    early.abort(new Error('not now'))
    await expect(tooEarly).rejects.toThrow('not now')
    await expect(session.operations.waitAll([id])).rejects.toMatchObject({ code: 'not_found' })
    await session.operations.registerOperation(spec)
    const watching = async (): Promise<unknown> =>
      JSON.parse((await stateOf(admin, { service: 'stateward_session', key: session.id }))[`watchers/${id}`] ?? '[]')
    for (let round = 1; round <= 3; round += 1) {
      const abort = new AbortController()
      const wait = session.outcome(id, abort)
      await expect.poll(watching).toHaveLength(1)
      abort.abort(new Error('not now'))
      await expect(wait).rejects.toThrow('not now')
    }
    const wait = session.operations.waitAll([id])
    await session.operations.failOperation(id, 'no disk')
    expect(await wait).toEqual([{ operationId: id, outcome: { type: 'failed', error: 'no disk' } }])
  })

  it('closed, terminates what lives and takes nothing new, but is read as before (R-14)', async () => {
    const session = newSession()
    const done = await session.run(echo, 1)
    await done.outcome
    const parent = await session.run(held, undefined)
    const part = await session.run(held, undefined, { parent })
    await session.close('no more')
    const terminated = { type: 'terminated', reason: 'no more' }
    expect(await Promise.all([parent.outcome, part.outcome])).toEqual([terminated, terminated])
    await expect(session.run(echo, 1)).rejects.toMatchObject({ code: 'owner_retired' })
    await expect(session.operations.cancelOperation(done.id)).rejects.toMatchObject({ code: 'owner_retired' })
    expect((await session.feed.since(0)).entries.map(({ outcome }) => outcome.type)).toEqual([
      'completed',
      'terminated',
      'terminated',
    ])
    await session.close()
    expect((await session.operations.listOperations()).map(({ status }) => status).toSorted()).toEqual([
      'completed',
      'terminated',
      'terminated',
    ])
    expect(await session.operations.listOperations({ isLive: true })).toEqual([])
  })

  it('makes a call once that is made again by its key, as after a connection that broke (R-9)', async () => {
    const session = newSession()
    const call = new RestateIngress({ url: ingress })
    const spec = specOf(session)
    const ask = () =>
      call.call(['stateward_session', session.id, 'register'], { spec }, v.unknown(), { idempotencyKey: spec.id })
    expect(await ask()).toEqual({})
    expect(await ask()).toEqual({})
    await expect(session.operations.registerOperation(spec)).rejects.toMatchObject({ code: 'already_registered' })
  })
})
