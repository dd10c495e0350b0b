import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { JournalStore } from '../../src/journal/journal.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { open, restart, rows } from './support/restart.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { ScriptedJournal, storeOf } from '../lane/support/scripted-journal.js'
import {
  childSource,
  completed,
  fixtureOf,
  idOf,
  openRuntime,
  refusal,
  resultOf,
  specOf,
  start,
  syncWhenClosing,
} from './support/registry.js'

const directories: string[] = []

afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true })
})

const stores: [string, () => Promise<JournalStore>][] = [
  ['in memory', async () => createMemoryJournal()],
  [
    'in a directory',
    async () => {
      const home = await mkdtemp(join(tmpdir(), 'stateward-operations-'))
      directories.push(home)
      return createDirectoryJournal({ directory: join(home, 'journal') })
    },
  ],
]

describe.each(stores)('a session over a journal %s', (_, createStore) => {
  it('[O-116] [O-127] [O-115] comes back with its epoch, its outcomes and its feed; what ran is lost', async () => {
    const store = await createStore()
    const before = await open(store)
    await before.finish(1)
    await before.run([2, 3])
    await before.operations.failOperation(idOf(2), 'broken')
    const { epochId } = before.session
    const after = await restart(before.runtime, store)
    expect(after.session.epochId).toBe(epochId)
    expect(rows(after)).toEqual([
      [1, idOf(1), 'completed'],
      [2, idOf(2), 'failed'],
    ])
    expect(after.operations.listOperations().map(({ id, status }) => [id, status])).toEqual([
      [idOf(1), 'completed'],
      [idOf(2), 'failed'],
    ])
    expect(after.session.lost).toEqual([
      {
        id: idOf(3),
        kind: 'background_tool_op',
        displayName: 'operation 3',
        sourceLabel: 'test',
        startedAtMs: 1_767_225_600_000,
        status: 'running',
      },
    ])
    expect(after.session.feed.since(2).entries).toEqual([])
    expect(after.operations.activeCount).toBe(0)
  })

  it('[O-113] [O-115] comes back with all of thirty-two completions that shared syncs', async () => {
    const store = await createStore()
    const before = await open(store)
    const numbers = Array.from({ length: 32 }, (__, index) => index + 1)
    await before.run(numbers)
    await Promise.all(numbers.map((number) => before.complete(number)))
    const after = await restart(before.runtime, store)
    expect(rows(after)).toEqual(numbers.map((number) => [number, idOf(number), 'completed']))
  })

  it('comes back the same from a snapshot, from records, and from both', async () => {
    const store = await createStore()
    const before = await open(store)
    const { operations, finish, runtime, run } = before
    await operations.registerOperation(specOf(1, 'mob_member_child', { operationSource: childSource }))
    await operations.provisioningSucceeded(idOf(1))
    await operations.reportProgress(idOf(1), { message: '' })
    await operations.completeOperation(idOf(1), resultOf(1))
    await finish(2)
    await run([9])
    await runtime.flush()
    await runtime.compact()
    await finish(3)
    await operations.collectCompleted()
    await finish(4)
    operations.advanceCompletionCursor('agent_applied', 3)
    const live = JSON.stringify(before.operations.listOperations().map(({ id, outcome }) => [id, outcome]))
    const feed = before.session.feed.since(0)
    let after = await restart(before.runtime, store)
    for (const again of [1, 2]) {
      expect(after.session.feed.since(0)).toEqual(feed)
      const ended = after.operations.listOperations().map(({ id, outcome }) => [id, outcome])
      expect(JSON.stringify([...ended, [idOf(9), null]])).toBe(live)
      expect(after.operations.completionCursor('agent_applied')).toBe(3)
      expect(after.session.lost.map(({ id }) => id)).toEqual([idOf(9)])
      if (again === 1) {
        await after.runtime.compact()
        after = await restart(after.runtime, store)
      }
    }
  })

  it('goes on with sequence, refusals and retention where it was', async () => {
    const store = await createStore()
    const before = await open(store)
    await before.finish(1)
    await before.operations.collectCompleted()
    const after = await restart(before.runtime, store)
    expect(await refusal(after.operations.registerOperation(specOf(1)))).toMatchObject({ code: 'already_registered' })
    await after.finish(2)
    expect(rows(after)).toEqual([
      [1, idOf(1), 'completed'],
      [2, idOf(2), 'completed'],
    ])
  })

  it('keeps the limits it was made with', async () => {
    const store = await createStore()
    const runtime = await openRuntime({ store })
    runtime.session('limited', { maxConcurrent: 1, maxCompleted: 2 })
    await runtime.close()
    const { operations } = (await openRuntime({ store })).session('limited')
    await operations.registerOperation(specOf(1))
    expect(await refusal(operations.registerOperation(specOf(2)))).toMatchObject({ limit: 1 })
  })

  it('[O-131] [O-128] is one of many that share the journal and nothing else', async () => {
    const store = await createStore()
    const runtime = await openRuntime({ store })
    const clock = new SimulatedClock(start)
    const names = ['one', 'two', '__proto__', 'ünïcode ☃', 'a/b']
    for (const [index, name] of names.entries()) await fixtureOf(runtime, clock, name).finish(index + 1)
    const epochs = [...runtime.sessions()].map(({ epochId }) => epochId)
    expect(new Set(epochs).size).toBe(5)
    expect(runtime.session('one')).toBe(runtime.session('one'))
    await runtime.close()
    const reopened = await openRuntime({ store })
    expect([...reopened.sessions()].map(({ id }) => id)).toEqual(names)
    expect([...reopened.sessions()].map(({ epochId }) => epochId)).toEqual(epochs)
    expect(
      reopened
        .session('__proto__')
        .feed.since(0)
        .entries.map(({ operationId }) => operationId),
    ).toEqual([idOf(3)])
  })

  it('[O-129] that was deleted is gone for good: the next of its name has another epoch and no past', async () => {
    const store = await createStore()
    const before = await open(store)
    await before.finish(1)
    await before.run([2])
    const watch = before.operations.registerWatcher(idOf(2))
    await before.runtime.deleteSession('owner', 'not needed')
    expect(await watch).toEqual({ type: 'terminated', reason: 'not needed' })
    expect([...before.runtime.sessions()]).toEqual([])
    const next = fixtureOf(before.runtime, before.clock)
    expect(next.session).not.toBe(before.session)
    expect(next.session.epochId).not.toBe(before.session.epochId)
    await next.finish(1)
    const after = await restart(before.runtime, store)
    expect(after.session.epochId).toBe(next.session.epochId)
    expect(rows(after)).toEqual([[1, idOf(1), 'completed']])
  })

  it.each([
    ['between the two', true, false],
    ['after the second', false, true],
    ['both times', true, true],
  ])('of a deleted name comes back right when a snapshot was written %s', async (__, between, afterwards) => {
    const store = await createStore()
    const before = await open(store)
    await before.finish(1)
    await before.run([2])
    await before.runtime.deleteSession('owner')
    if (between) await before.runtime.compact()
    const next = fixtureOf(before.runtime, before.clock)
    await next.run([3])
    if (afterwards) await before.runtime.compact()
    await next.finish(4)
    const after = await restart(before.runtime, store)
    expect(after.session.epochId).toBe(next.session.epochId)
    expect(rows(after)).toEqual([[1, idOf(4), 'completed']])
    expect(after.session.lost.map(({ id }) => id)).toEqual([idOf(3)])
  })

  it('that was imported comes back', async () => {
    const store = await createStore()
    const source = await open(createMemoryJournal())
    await source.finish(1)
    await source.run([2])
    const exported = JSON.parse(JSON.stringify(source.operations.capturePersistenceSnapshot())) as unknown
    const runtime = await openRuntime({ store })
    await runtime.importSession('owner', exported)
    const after = await restart(runtime, store)
    expect(after.session.epochId).toBe(source.session.epochId)
    expect(rows(after)).toEqual([[1, idOf(1), 'completed']])
    expect(after.session.lost.map(({ id }) => id)).toEqual([idOf(2)])
  })
})

describe('a journal that contradicts itself', () => {
  async function recoveryOf(...facts: Record<string, unknown>[]): Promise<unknown> {
    const store = createMemoryJournal()
    const { journal } = await store.open()
    const epoch = { type: 'session_opened', version: 1, epoch_id: idOf(99), max_completed: 256, max_concurrent: null }
    for (const fact of numbered([epoch, ...facts])) await journal.append([['operations/owner', fact as never]])
    await journal.close()
    const result = await refusal(openRuntime({ store }))
    if (result === 'resolved') return result
    // Whatever it says, the journal is free again.
    await (await store.open()).journal.close()
    return result
  }

  /** As they are numbered when they are written: ends by themselves, and what is noted. */
  function numbered(facts: readonly Record<string, unknown>[]): Record<string, unknown>[] {
    let [ends, notes] = [0, 0]
    return facts.map((fact) => ({ sequence: fact['type'] === 'operation_ended' ? (ends += 1) : (notes += 1), ...fact }))
  }

  const spec = {
    id: idOf(1),
    kind: 'background_tool_op',
    owner_session_id: 'owner',
    display_name: 'one',
    source_label: 'test',
    child_session_id: null,
    expect_peer_channel: false,
  }
  const registered = { type: 'operation_registered', version: 1, spec }
  const started = { type: 'operation_started', version: 1, id: idOf(1) }
  const settled = {
    type: 'operation_ended',
    version: 1,
    id: idOf(1),
    completion_sequence: 1,
    outcome: { type: 'retired' },
    peer_ready: false,
    progress_count: 0,
    completed_at_ms: 1,
  }

  it('does not open: an end of what was never registered', async () => {
    expect(await recoveryOf(settled)).toMatchObject({ code: 'internal' })
  })

  it('does not open: one sequence for two', async () => {
    const other = [
      { ...registered, spec: { ...spec, id: idOf(2) } },
      { ...started, id: idOf(2) },
    ]
    expect(await recoveryOf(registered, started, ...other, settled, { ...settled, id: idOf(2) })).toEqual({
      code: 'internal',
      detail: `sequence 1 of operation ${idOf(2)} is claimed already`,
    })
  })

  it('does not open: an end that the chart refuses, by the rules of live calls', async () => {
    expect(await recoveryOf(registered, settled)).toEqual({
      code: 'internal',
      detail: `the journal ends operation ${idOf(1)} as retired while it is provisioning`,
    })
    const aborted = { ...settled, outcome: { type: 'aborted', reason: null } }
    expect(await recoveryOf(registered, aborted)).toBe('resolved')
    expect(await recoveryOf(registered, started, aborted)).toMatchObject({ code: 'internal' })
  })

  it('does not open: a fact nobody knows, or with a field that does not fit', async () => {
    expect(await recoveryOf({ type: 'operation_forgotten' })).toMatchObject({ code: 'invalid_input' })
    expect(await recoveryOf(registered, { ...settled, completion_sequence: -1 })).toMatchObject({
      code: 'invalid_input',
      field: 'completionSequence',
    })
  })

  it('[O-149] does not open: an event that is missing, or comes twice', async () => {
    expect(await recoveryOf(registered, { ...started, sequence: 4 })).toMatchObject({ code: 'replay_sequence' })
    expect(await recoveryOf(registered, { ...registered, sequence: 2 })).toMatchObject({ code: 'replay_sequence' })
    expect(await recoveryOf(registered, started, { ...settled, sequence: 2 })).toMatchObject({
      code: 'replay_sequence',
      expected: 1,
      found: 2,
    })
  })

  it.each([0, 2, undefined])('does not open: an event of version %s, which is named', async (version) => {
    expect(await recoveryOf({ ...registered, version })).toEqual({
      code: 'invalid_input',
      subject: 'event operation_registered',
      field: 'version',
      reason: `version ${version}, this program reads 1`,
    })
  })

  it('does not open: a stream nobody knows', async () => {
    const store = createMemoryJournal()
    const { journal } = await store.open()
    await journal.append([['strangers/1', {}]])
    await journal.close()
    expect(await refusal(openRuntime({ store }))).toEqual({
      code: 'lane_unknown_stream',
      stream: 'strangers/1',
      record: 'journal record 1',
    })
  })

  it('opens when it does not', async () => {
    expect(await recoveryOf(registered, started, settled)).toBe('resolved')
  })
})

describe('a store that fails', () => {
  it('[O-130] to open fails the runtime, and leaves the store as it was', async () => {
    const store = createMemoryJournal()
    const first = await openRuntime({ store })
    expect(await refusal(openRuntime({ store }))).toMatchObject({ code: 'journal_locked' })
    await first.close()
    expect(await refusal(openRuntime({ store }))).toBe('resolved')
  })

  it('[O-114] because its runtime was closed refuses the terminal call', async () => {
    const fixture = await open(createMemoryJournal())
    const { operations, runtime, run } = fixture
    await run([1])
    await runtime.close({ policy: 'terminate' })
    expect(await refusal(operations.completeOperation(idOf(1), resultOf(1)))).toMatchObject({ code: 'lane_closed' })
  })

  it('to take an import makes no session, and the import may be made again', async () => {
    const store = createMemoryJournal()
    const source = await open(createMemoryJournal())
    await source.finish(1)
    const exported = source.operations.capturePersistenceSnapshot()
    const runtime = await openRuntime({ store })
    store.failNext('write')
    expect(await refusal(runtime.importSession('owner', exported))).toMatchObject({ code: 'lane_not_appended' })
    expect([...runtime.sessions()]).toEqual([])
    store.failNext('sync')
    expect(await refusal(runtime.importSession('owner', exported))).toMatchObject({ code: 'lane_durability_unknown' })
    expect(await refusal(runtime.importSession('owner', exported))).toMatchObject({ code: 'lane_poisoned' })
    await runtime.reopen()
    expect(await refusal(runtime.importSession('owner', exported))).toBe('resolved')
    const after = await restart(runtime, store)
    expect(rows(after)).toEqual([[1, idOf(1), 'completed']])
  })

  it('to take a deletion leaves the session without its work, and the deletion may be made again', async () => {
    const store = createMemoryJournal()
    const { runtime, session, finish, operations } = await open(store)
    await finish(1)
    store.failNext('write')
    expect(await refusal(runtime.deleteSession('owner'))).toMatchObject({ code: 'lane_not_appended' })
    expect(runtime.session('owner')).toBe(session)
    expect(await refusal(operations.registerOperation(specOf(2)))).toEqual({ code: 'owner_retired' })
    await runtime.deleteSession('owner')
    expect(runtime.session('owner')).not.toBe(session)
  })
})

describe('a deleted session', () => {
  it('refuses every change, so that nothing of it reaches its successor', async () => {
    const store = createMemoryJournal()
    const old = await open(store)
    await old.run([1])
    await old.runtime.deleteSession('owner')
    const next = fixtureOf(old.runtime, old.clock)
    expect(await refusal(old.operations.registerOperation(specOf(2)))).toEqual({ code: 'owner_retired' })
    expect(
      await refusal(old.session.run({ kind: 'background_tool_op', displayName: 'late' }, () => {}).outcome),
    ).toEqual({
      code: 'owner_retired',
    })
    expect(old.operations.snapshot(idOf(1))?.status).toBe('terminated')
    const after = await restart(next.runtime, store)
    expect(after.session.epochId).toBe(next.session.epochId)
    expect(after.session.lost).toEqual([])
  })

  it('takes no new work while its deletion is under way, and may be deleted twice at once', async () => {
    const { runtime, operations, finish } = await open(createMemoryJournal())
    await finish(1)
    const deletions = [runtime.deleteSession('owner'), runtime.deleteSession('owner')]
    const late = refusal(operations.registerOperation(specOf(2)))
    await Promise.all(deletions)
    expect(await late).toEqual({ code: 'owner_retired' })
    const next = runtime.session('owner')
    expect(runtime.session('owner')).toBe(next)
    expect(await refusal(next.operations.registerOperation(specOf(2)))).toBe('resolved')
    expect(runtime.health).toEqual({ status: 'open' })
  })

  it('is deleted once, however often that is asked for: its successor stays', async () => {
    const journal = syncWhenClosing(new ScriptedJournal())
    const { runtime, run } = await open(storeOf(journal))
    await run([1])
    await journal.sync()
    const deletions = [runtime.deleteSession('owner'), runtime.deleteSession('owner')]
    await journal.sync()
    await journal.sync(1)
    await deletions[0]
    const next = runtime.session('owner')
    await journal.sync()
    await deletions[1]
    expect(runtime.session('owner')).toBe(next)
  })

  it('that never existed is deleted without a word', async () => {
    const { runtime } = await open(createMemoryJournal())
    expect(await refusal(runtime.deleteSession('nobody'))).toBe('resolved')
  })
})

it('replay and live agree on the outcome of every operation', async () => {
  const store = createMemoryJournal()
  const before = await open(store)
  await before.finish(1)
  store.crash()
  const after = await open(store)
  expect(await after.operations.registerWatcher(idOf(1))).toEqual(completed(1))
})
