import { describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { createRuntime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { ScriptedJournal, settleReactions, storeOf } from '../lane/support/scripted-journal.js'
import {
  fixtureOf,
  idOf,
  openFixture,
  openRuntime,
  refusal,
  refusalOf,
  turnId,
  specOf,
  start,
  stateOf,
  syncWhenClosing,
} from '../operations/support/registry.js'
import { job, startWork } from '../operations/support/work.js'

describe('closing a runtime', () => {
  it('by retiring asks what runs to wind down, and waits for it', async () => {
    const { runtime, session, clock } = await openFixture()
    const { context, outcome, result } = await startWork(session)
    const closing = runtime.close({ graceMs: 1000 })
    await settleReactions()
    expect(context.retiring.aborted).toBe(true)
    expect(context.signal.aborted).toBe(false)
    expect(await stateOf(closing)).toBe('pending')
    result.resolve('wound down')
    expect(await outcome).toMatchObject({ type: 'completed', result: { content: 'wound down' } })
    await closing
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('by retiring terminates what has not wound down in time', async () => {
    const { runtime, session, clock } = await openFixture()
    const slow = await startWork(session)
    const quick = await startWork(session)
    const closing = runtime.close({ graceMs: 1000, reason: 'shutdown' })
    await settleReactions()
    quick.result.resolve('in time')
    await quick.outcome
    clock.advance(999)
    expect(await stateOf(closing)).toBe('pending')
    clock.advance(1)
    await closing
    expect(await slow.outcome).toEqual({ type: 'terminated', reason: 'shutdown' })
    expect(slow.context.signal.aborted).toBe(true)
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('by terminating ends everything at once', async () => {
    const { runtime, session, clock } = await openFixture()
    const { context, outcome } = await startWork(session, { deadlineMs: 5000 })
    await runtime.close({ policy: 'terminate', reason: 'shutdown' })
    expect(await outcome).toEqual({ type: 'terminated', reason: 'shutdown' })
    expect(context.signal.aborted).toBe(true)
    expect(context.retiring.aborted).toBe(false)
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('waits in every session, and for operations that are being set up too', async () => {
    const { runtime, session, clock, operations } = await openFixture()
    await operations.registerOperation(specOf(1))
    const other = await startWork(runtime.session('other'))
    const one = await startWork(session)
    const closing = runtime.close({ graceMs: 50 })
    await settleReactions()
    one.result.resolve('')
    other.result.resolve('')
    await Promise.all([one.outcome, other.outcome])
    expect(await stateOf(closing)).toBe('pending')
    clock.advance(50)
    await closing
    expect(operations.snapshot(idOf(1))?.status).toBe('terminated')
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('makes every end durable before it is over', async () => {
    const store = createMemoryJournal()
    const { runtime, session } = await openFixture({}, { store })
    await startWork(session)
    await runtime.close({ policy: 'terminate', reason: 'shutdown' })
    const { session: recovered } = await openFixture({}, { store })
    expect(recovered.feed.since(0).entries.map(({ outcome }) => outcome)).toEqual([
      { type: 'terminated', reason: 'shutdown' },
    ])
    expect(recovered.lost).toEqual([])
  })

  it('settles a wait with the outcomes of what it terminated', async () => {
    const { runtime, session } = await openFixture()
    const { id } = await startWork(session)
    const wait = session.waitAll(turnId, [id])
    await runtime.close({ policy: 'terminate' })
    expect((await wait).outcomes).toMatchObject([{ operationId: id, outcome: { type: 'terminated' } }])
  })

  it('is shared by every call, and by leaving the scope', async () => {
    const store = createMemoryJournal()
    {
      await using runtime = await createRuntime({ store })
      const { outcome } = await startWork(runtime.session('owner'))
      const both = [runtime.close({ policy: 'terminate' }), runtime.close({ policy: 'retire' })]
      await Promise.all(both)
      expect(await outcome).toMatchObject({ type: 'terminated' })
    }
    await (await store.open()).journal.close()
  })

  it('refuses everything new, from its first moment on', async () => {
    const { runtime, session, operations } = await openFixture()
    const running = await startWork(session)
    const closing = runtime.close()
    const closed = { code: 'runtime_closed' }
    expect(refusalOf(() => runtime.session('another'))).toEqual(closed)
    expect(await refusal(runtime.importSession('another', {}))).toEqual(closed)
    expect(await refusal(runtime.deleteSession('owner'))).toEqual(closed)
    expect(await refusal(session.run(job, () => {}).outcome)).toEqual({ code: 'owner_retired' })
    running.result.resolve('')
    await closing
    expect(await refusal(session.run(job, () => {}).outcome)).toEqual({ code: 'lane_closed' })
    expect(await refusal(operations.registerOperation(specOf(1)))).toEqual({ code: 'lane_closed' })
    expect(operations.listOperations()).toHaveLength(1)
  })

  it('does not mind operations that end while it asks them to wind down', async () => {
    const journal = syncWhenClosing(new ScriptedJournal())
    const { runtime, run, complete, operations } = await openFixture({}, { store: storeOf(journal) })
    await run([1, 2])
    await journal.sync()
    const completion = complete(1)
    const closing = runtime.close({ graceMs: 0 })
    await journal.sync()
    await completion
    await operations.registerWatcher(idOf(1))
    const ended = complete(2)
    for (let turn = 0; turn < 5; turn += 1) await journal.sync()
    await ended
    await closing
    expect(operations.snapshot(idOf(1))?.status).toBe('completed')
    expect(operations.snapshot(idOf(2))?.status).toBe('completed')
  })

  it.each([-1, Number.NaN])('with %d milliseconds of grace is refused and closes nothing', async (graceMs) => {
    const { runtime } = await openFixture()
    expect(await refusal(runtime.close({ graceMs }))).toMatchObject({ code: 'invalid_input', field: 'graceMs' })
    expect(runtime.session('another').id).toBe('another')
  })
})

describe('closing a runtime that cannot write', () => {
  it.each(['retire', 'terminate'] as const)(
    'rejects with the error of the lane and releases everything, without waiting: %s',
    async (policy) => {
      const store = createMemoryJournal()
      const { runtime, session, clock, run, complete, operations } = await openFixture({}, { store })
      const { context, outcome } = await startWork(session, { deadlineMs: 60_000 })
      await run([1])
      const watch = operations.registerWatcher(idOf(1))
      await runtime.flush()
      store.failNext('sync')
      expect(await refusal(complete(1))).toMatchObject({ code: 'lane_durability_unknown' })
      expect(await refusal(runtime.close({ policy, graceMs: 60_000 }))).toMatchObject({ code: 'lane_poisoned' })
      expect(await refusal(outcome)).toMatchObject({ code: 'channel_closed' })
      expect(await refusal(watch)).toMatchObject({ code: 'channel_closed' })
      expect(context.signal.aborted).toBe(true)
      expect(clock.pendingTimeouts).toBe(0)
      await (await store.open()).journal.close()
    },
  )

  it('because the write of the termination is refused rejects and releases everything', async () => {
    const store = createMemoryJournal()
    const { runtime, session, clock } = await openFixture({}, { store })
    const { outcome } = await startWork(session)
    await runtime.flush()
    store.failNext('write')
    expect(await refusal(runtime.close({ policy: 'terminate' }))).toMatchObject({ code: 'lane_not_appended' })
    expect(await refusal(outcome)).toMatchObject({ code: 'channel_closed' })
    expect(clock.pendingTimeouts).toBe(0)
    const { session: recovered } = await openFixture({}, { store })
    expect(recovered.lost).toHaveLength(1)
  })

  it('applies what became durable meanwhile before the actors stop', async () => {
    const journal = syncWhenClosing(new ScriptedJournal())
    const { runtime, operations, run, complete } = await openFixture({}, { store: storeOf(journal) })
    await run([1])
    await journal.sync()
    const completion = operations.terminateOwner('refused').catch(() => complete(1))
    const closing = refusal(runtime.close({ policy: 'terminate' }))
    await settleReactions()
    await journal.fail('journal_not_appended')
    await journal.sync()
    await completion
    await journal.sync()
    expect(await closing).toMatchObject({ code: 'lane_not_appended' })
    expect(operations.snapshot(idOf(1))?.status).toBe('completed')
    expect(runtime.health).toEqual({ status: 'closed' })
  })

  it('because it was poisoned with nothing left to end is no failure', async () => {
    const store = createMemoryJournal()
    const { runtime, run, complete } = await openFixture({}, { store })
    await run([1])
    store.failNext('sync')
    await refusal(complete(1))
    store.failNext('write')
    await runtime.reopen()
    expect(await refusal(complete(1))).toMatchObject({ code: 'lane_not_appended' })
    expect(await refusal(complete(1))).toBe('resolved')
    expect(await refusal(runtime.close())).toBe('resolved')
  })

  it('in one session does not keep the others from winding down', async () => {
    const clock = new SimulatedClock(start)
    const runtime = await openRuntime({ clock, store: createMemoryJournal() })
    const broken = fixtureOf(runtime, clock, 'broken')
    const sound = await startWork(runtime.session('sound'))
    broken.session.history.core.actor.send({ type: 'fault', cause: 'for the test' })
    const closing = runtime.close({ graceMs: 1000 })
    await settleReactions()
    sound.result.resolve('wound down')
    expect(await sound.outcome).toMatchObject({ type: 'completed' })
    expect(await refusal(closing)).toMatchObject({ code: 'internal' })
    expect(clock.pendingTimeouts).toBe(0)
  })
})
