import { beforeEach, describe, expect, it, vi } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import {
  idOf,
  openFixture,
  openRuntime,
  refusal,
  resultOf,
  turnId,
  specOf,
  stateOf,
  type Fixture,
} from './support/registry.js'
import { tamper, tamperWithWait, type Forgery } from './support/tamper.js'

// The development build of XState warns of events to actors that have stopped, which forged facts lead to.
beforeEach(() => {
  vi.spyOn(console, 'warn').mockImplementation(() => {})
})

/** Everything that reads facts. */
const surfaces: Record<string, (fixture: Fixture) => unknown> = {
  snapshot: ({ operations }) => operations.snapshot(idOf(1)),
  list: ({ operations }) => operations.listOperations(),
  diagnostics: ({ operations }) => operations.diagnostics(),
  capture: ({ operations }) => operations.capturePersistenceSnapshot(),
  watch: ({ operations }) => operations.registerWatcher(idOf(1)),
  collect: ({ operations }) => operations.collectCompleted(),
  'public result': ({ operations }) => operations.classifyPublicResult(idOf(1)),
  idempotence: ({ operations }) => operations.classifyTransitionIdempotence(idOf(1), 'complete'),
  terminate: ({ operations }) => operations.terminateOwner('leaving'),
}

async function failure(read: () => unknown): Promise<{ code: unknown; message: string } | undefined> {
  try {
    await read()
    return undefined
  } catch (error) {
    return error as { code: unknown; message: string }
  }
}

const view = ['snapshot', 'list', 'diagnostics']
const outcomeReaders = [...view, 'capture', 'watch', 'collect']

/** The fault, what upstream tests look for in the message, where it must surface, and how it comes about. */
const faults: [string, string, readonly string[], 'ended' | 'running', Forgery][] = [
  ['O-132: no record', 'without shell projection record', view, 'ended', { row: { spec: undefined } }],
  ['O-133: no kind', 'missing kind', [...view, 'capture'], 'ended', { context: { kind: undefined } }],
  [
    'O-134: no status',
    'missing status',
    [...view, 'capture', 'public result', 'idempotence', 'terminate'],
    'running',
    { status: undefined },
  ],
  [
    'O-135: no peer-ready',
    'missing peer-ready',
    [...view, 'capture'],
    'running',
    { context: { peerReady: undefined } },
  ],
  [
    'O-136: no progress',
    'missing progress count',
    [...view, 'capture'],
    'running',
    { context: { progressCount: undefined } },
  ],
  [
    'O-137: a source without its owner',
    'operation source authority has invalid source',
    [...view, 'capture'],
    'running',
    { row: { source: { kind: 'session_child' } } },
  ],
  ['O-138: no outcome', 'missing terminal outcome', outcomeReaders, 'ended', { context: { outcome: undefined } }],
  ['O-139: an outcome while live', 'terminal outcome for non-terminal', outcomeReaders, 'ended', { status: 'running' }],
  [
    'O-140: an outcome without payload',
    'missing terminal payload',
    outcomeReaders,
    'ended',
    { context: { outcome: { type: 'completed' } } },
  ],
  [
    'O-141: the outcome of another status',
    'does not match terminal outcome discriminant',
    outcomeReaders,
    'ended',
    { context: { outcome: { type: 'retired' } } },
  ],
  ['O-143: no sequence', 'missing completion sequence', ['capture'], 'ended', { row: { stamp: undefined } }],
  [
    'O-144: a sequence while live',
    'completion sequence for non-terminal',
    ['capture'],
    'running',
    { row: { stamp: { sequence: 1 } } },
  ],
]

describe('corrupt facts surface as internal errors wherever they are read', () => {
  const cases = faults.flatMap(([name, message, where, status, forgery]) =>
    where.map((surface) => ({ name, surface, message, status, forgery })),
  )

  it.each(cases)('$name: $surface', async ({ surface, message, status, forgery }) => {
    const fixture = await openFixture()
    if (status === 'ended') await fixture.finish(1)
    else await fixture.run([1])
    tamper(fixture, 1, forgery)
    expect(await failure(() => surfaces[surface]?.(fixture))).toMatchObject({
      code: 'internal',
      message: expect.stringContaining(message),
    })
  })

  it.each(['list', 'diagnostics', 'capture', 'terminate'])('O-142: a key that is no id: %s', async (surface) => {
    const fixture = await openFixture()
    await fixture.run([1])
    const { rows } = fixture.session.history.core.records
    const row = rows.get(idOf(1))
    if (row === undefined) throw new Error('not tracked')
    rows.set('"quoted"' as never, row)
    expect(await failure(() => surfaces[surface]?.(fixture))).toMatchObject({
      code: 'internal',
      message: expect.stringContaining('invalid operation id key'),
    })
  })

  // A sequence while live (O-144) is looked at by a capture only.
  it.each(faults.filter(([name, , , status]) => status === 'running' && !name.startsWith('O-144')))(
    'never become durable with the end of the operation, which can end once they are mended: %s',
    async (_, __, ___, ____, forgery) => {
      const fixture = await openFixture({}, { store: createMemoryJournal() })
      const { operations, session, run, complete } = fixture
      await run([1, 2])
      const { rows } = session.history.core.records
      const sound = rows.get(idOf(2))
      tamper(fixture, 2, forgery)
      expect(await refusal(operations.terminateOwner('leaving'))).toMatchObject({ code: 'internal' })
      expect(operations.activeCount).toBe(2)
      if (sound !== undefined) rows.set(idOf(2), sound)
      await complete(1)
      await operations.terminateOwner('leaving')
      expect(session.feed.since(0).entries.map(({ seq }) => seq)).toEqual([1, 2])
    },
  )

  it('[O-147] are checked in this order: record, kind, status, peer-ready, progress, source, outcome', async () => {
    const fixture = await openFixture()
    await fixture.finish(1)
    const broken = { kind: undefined, peerReady: undefined, progressCount: undefined, outcome: undefined }
    const messageWith = async (forgery: Forgery): Promise<string | undefined> => {
      tamper(fixture, 1, forgery)
      return (await failure(() => fixture.operations.snapshot(idOf(1))))?.message
    }
    const { kind: _, ...afterKind } = broken
    const source = { row: { source: { kind: 'session_child' } } }
    expect(await messageWith({ status: undefined, context: broken, row: { spec: undefined } })).toMatch(
      'projection record',
    )
    tamper(fixture, 1, { row: { spec: specOf(1) } })
    expect(await messageWith({ status: undefined, context: broken })).toMatch('missing kind')
    tamper(fixture, 1, { context: { kind: 'background_tool_op' } })
    expect(await messageWith({ status: undefined, context: { ...afterKind, kind: 'background_tool_op' } })).toMatch(
      'missing status',
    )
    expect(await messageWith({ status: 'completed', context: { peerReady: undefined } })).toMatch('missing peer-ready')
    expect(await messageWith({ context: { peerReady: false, progressCount: undefined } })).toMatch('missing progress')
    expect(await messageWith({ context: { progressCount: 0, outcome: undefined }, ...source })).toMatch(
      'invalid source',
    )
  })

  it('[O-60] a collect that fails loses nothing', async () => {
    const fixture = await openFixture()
    const { operations, finish } = fixture
    for (const number of [1, 2, 3]) await finish(number)
    tamper(fixture, 2, { context: { outcome: undefined } })
    expect(await refusal(operations.collectCompleted())).toMatchObject({ code: 'internal' })
    tamper(fixture, 2, { context: { outcome: { type: 'retired' } }, status: 'retired' })
    const collected = await operations.collectCompleted()
    expect(collected.map(({ operationId }) => operationId)).toEqual([idOf(1), idOf(2), idOf(3)])
  })
})

describe('a corrupt barrier', () => {
  it('[O-101] without a turn id fails the terminal call before anything happens, and the waiter rejects', async () => {
    const fixture = await openFixture({}, { store: createMemoryJournal() })
    const { operations, run, complete } = fixture
    await run([1])
    const wait = operations.waitAll(turnId, [idOf(1)])
    tamperWithWait(fixture, { turnId: undefined })
    const completion = await failure(() => complete(1))
    expect(completion).toMatchObject({
      code: 'internal',
      message: expect.stringContaining('active wait without turn id'),
    })
    await expect(wait.result).rejects.toThrow('wait_all completion channel dropped')
    // O-101: the barrier is cleared, the call can be made again, and the registry can wait again.
    expect(operations.snapshot(idOf(1))?.status).toBe('running')
    const next = operations.waitAll(turnId, [idOf(1)])
    await complete(1)
    expect((await next).outcomes).toHaveLength(1)
  })

  it('[O-101] fails the end of a capacity slot too, before anything happens', async () => {
    const { operations, ...fixture } = await openFixture()
    await operations.registerOperation(specOf(1, 'background_tool_capacity_slot'))
    const wait = operations.waitAll(turnId, [idOf(1)])
    tamperWithWait({ operations, ...fixture }, { turnId: undefined })
    expect(await refusal(operations.abortProvisioning(idOf(1)))).toMatchObject({ code: 'internal' })
    await expect(wait.result).rejects.toThrow('active wait without turn id')
    expect(operations.snapshot(idOf(1))?.status).toBe('provisioning')
    expect(await refusal(operations.abortProvisioning(idOf(1)))).toBe('resolved')
  })

  it('does not touch ends of operations that are no members', async () => {
    const fixture = await openFixture()
    const { operations, run, complete } = fixture
    await run([1, 2])
    using wait = operations.waitAll(turnId, [idOf(1)])
    tamperWithWait(fixture, { turnId: undefined })
    expect(await refusal(complete(2))).toBe('resolved')
    expect(await stateOf(wait)).toBe('pending')
  })

  it('[O-102] that is satisfied too early rejects the waiter and fails the next member, once', async () => {
    const fixture = await openFixture()
    const { operations, session, run, complete } = fixture
    await run([1])
    const wait = operations.waitAll(turnId, [idOf(1)])
    session.history.core.records.waits.oldest?.barrier.send({ type: 'member_ended' })
    await expect(wait.result).rejects.toThrow('completed without terminal outcome')
    expect(await refusal(complete(1))).toMatchObject({ code: 'internal' })
    expect(await refusal(complete(1))).toBe('resolved')
  })
})

describe('a registry that broke half-way', () => {
  async function poisoned(): Promise<Fixture> {
    const fixture = await openFixture({}, { store: createMemoryJournal() })
    await fixture.finish(1)
    await fixture.run([2])
    fixture.session.history.core.actor.send({ type: 'fault', cause: 'for the test' })
    return fixture
  }

  const calls: Record<string, (fixture: Fixture) => unknown> = {
    ...surfaces,
    register: ({ operations }) => operations.registerOperation(specOf(9)),
    start: ({ operations }) => operations.provisioningSucceeded(idOf(2)),
    progress: ({ operations }) => operations.reportProgress(idOf(2), { message: '' }),
    retire: ({ operations }) => operations.requestRetire(idOf(2)),
    complete: ({ operations }) => operations.completeOperation(idOf(2), resultOf(2)),
    fail: ({ operations }) => operations.failOperation(idOf(2), ''),
    cancel: ({ operations }) => operations.cancelOperation(idOf(2)),
    'mark retired': ({ operations }) => operations.markRetired(idOf(2)),
    'wait for all': ({ operations }) => operations.waitAll(turnId, []),
    cursor: ({ operations }) => operations.completionCursor('agent_applied'),
    'advance cursor': ({ operations }) => operations.advanceCompletionCursor('agent_applied', 1),
    feed: ({ session }) => session.feed,
  }

  it.each(Object.keys(calls))('[O-146] answers nothing any more: %s', async (name) => {
    const fixture = await poisoned()
    expect(await failure(() => calls[name]?.(fixture))).toMatchObject({
      code: 'internal',
      message: expect.stringContaining('ops lifecycle registry poisoned'),
    })
  })

  it('[O-145] because a durable end did not take effect: watch and wait reject, the lane stops', async () => {
    const fixture = await openFixture({}, { store: createMemoryJournal() })
    const { runtime, operations, session, run, complete } = fixture
    await run([1, 2])
    const watch = operations.registerWatcher(idOf(2))
    const wait = operations.waitAll(turnId, [idOf(1), idOf(2)])
    tamper(fixture, 1, { status: 'running' })
    expect(await refusal(complete(1))).toMatchObject({ code: 'internal' })
    expect(await refusal(watch)).toEqual({ code: 'channel_closed', id: idOf(2) })
    await expect(wait.result).rejects.toThrow('wait_all completion channel dropped')
    expect(runtime.health.status).toBe('poisoned')
    expect(await refusal(runtime.session('another').operations.registerOperation(specOf(3)))).toMatchObject({
      code: 'lane_poisoned',
    })
    expect(await refusal(runtime.reopen())).toMatchObject({ code: 'lane_apply_failed' })
    expect(await refusal(runtime.session('another').operations.registerOperation(specOf(3)))).toMatchObject({
      code: 'lane_poisoned',
    })
    expect(() => session.feed).toThrow('poisoned')
  })

  it('is not written into a snapshot: the journal keeps what it lost', async () => {
    const store = createMemoryJournal()
    const fixture = await openFixture({}, { store })
    const { runtime, session, run, complete } = fixture
    await run([1])
    const completion = complete(1)
    // The end is durable, but the registry that should apply it breaks: no fact of it is corrupt.
    session.history.core.actor.send({ type: 'fault', cause: 'for the test' })
    expect(await refusal(completion)).toMatchObject({ code: 'internal' })
    expect(await refusal(runtime.reopen())).toMatchObject({ code: 'lane_apply_failed' })
    expect(() => session.history.capture()).toThrow('poisoned')
    expect(await refusal(runtime.compact())).toBe('resolved')
    expect(await refusal(runtime.close())).toMatchObject({ code: 'internal' })
    const recovered = (await openRuntime({ store })).session('owner')
    expect(recovered.feed.since(0).entries.map(({ operationId }) => operationId)).toEqual([idOf(1)])
  })

  it('is released with its runtime all the same, and giving up its wait is harmless', async () => {
    const fixture = await openFixture({}, { store: createMemoryJournal() })
    const { runtime, operations, session, run } = fixture
    await run([1])
    const wait = operations.waitAll(turnId, [idOf(1)])
    session.history.core.actor.send({ type: 'fault', cause: 'for the test' })
    expect(() => wait[Symbol.dispose]()).not.toThrow()
    await expect(wait.result).rejects.toThrow('disposed')
    expect(await refusal(runtime.close())).toMatchObject({ code: 'internal' })
    expect(await stateOf(runtime.flush())).toBeUndefined()
  })
})
