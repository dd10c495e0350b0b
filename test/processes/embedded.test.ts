import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import { createDirectoryJournal } from '../../src/journal/directory-journal.js'
import type { JournalRecord } from '../../src/journal/journal.js'
import { createMemoryJournal, type MemoryJournalStore } from '../../src/journal/memory-journal.js'
import { noProjector, openProcessStore, type OpenedProcessStore } from '../../src/processes/index.js'
import {
  acquire,
  engine,
  everythingOf,
  external,
  leaseIn,
  owner,
  plainType,
  session,
  success,
} from '../../src/testing/processes/fixture.js'

const note = (payload: number) => ({ eventType: 'note', payload })

const open: OpenedProcessStore[] = []

async function openOn(journal: MemoryJournalStore): Promise<OpenedProcessStore> {
  const store = await openProcessStore({ journal })
  open.push(store)
  return store
}

afterEach(async () => {
  for (const store of open.splice(0)) await store.close()
})

describe('a journal that refuses (P-72)', () => {
  it('is a store that is unavailable: nothing is seen of it, and what follows goes on', async () => {
    const journal = createMemoryJournal()
    const store = await openOn(journal)
    await store.registerProcess(
      engine('p', 'rerunnable', { eventTypes: [plainType('note')], wakeTarget: session('s') }),
    )
    const lease = await acquire(store, 'p', owner('o'))
    await store.appendEvent('p', { ...note(1), replay: { key: 'k' } })
    const before = await everythingOf(store, 'p')
    const [, cursor] = await store.processesChangedSince('', 10)
    journal.failNext('write')
    const calls = await Promise.allSettled([
      store.appendEvent('p', { ...note(2), replay: { key: 'l' } }),
      store.appendEvent('p', note(3)),
      store.ackWake('p', 1),
      store.grantHandle(session('s'), 'p', {}),
      store.setWait('p', { sinceMs: 1, kind: { type: 'timer', untilMs: 1 } }),
      store.completeWithLease(lease, success(1)),
      store.registerProcess(external('q')),
    ])
    for (const call of calls) {
      expect(call).toMatchObject({
        status: 'rejected',
        reason: { code: 'store.unavailable', data: { store: 'journal' } },
      })
    }
    expect(await everythingOf(store, 'p')).toEqual(before)
    expect(await store.processesChangedSince(cursor, 10)).toEqual([[], cursor])
    expect(await store.getProcess('q')).toBeUndefined()
    // The key is free, and so is the sequence.
    const { event, replayed } = await store.appendEvent('p', { ...note(4), replay: { key: 'l' } })
    expect([event.sequence, replayed]).toEqual([2, false])
    expect(await store.countEventsThrough('p', 'note', 9)).toBe(2)
    expect(await store.eventsAfter('p', 1)).toEqual([event])
    await store.close()
    const reopened = await openOn(journal)
    expect(await reopened.eventsAfter('p', 1)).toEqual([event])
  })

  it('says what it is when it is closed', async () => {
    const store = await openOn(createMemoryJournal())
    await store.close()
    await expect(store.registerProcess(external('p'))).rejects.toMatchObject({ code: 'store.unavailable' })
  })
})

describe('what is under way', () => {
  it('is seen by what is decided behind it, and by nobody else', async () => {
    const store = await openOn(createMemoryJournal())
    const registering = store.registerProcess(external('p'))
    const appending = [store.appendEvent('p', { ...note(1), replay: { key: 'k' } }), store.appendEvent('p', note(2))]
    const retrying = store.appendEvent('p', { ...note(1), replay: { key: 'k' } })
    expect(await store.getProcess('p')).toBeUndefined()
    await registering
    expect((await Promise.all(appending)).map(({ event }) => event.sequence)).toEqual([1, 2])
    expect((await retrying).replayed).toBe(true)
  })

  it('goes with its session when that is deleted behind it (P-48)', async () => {
    const store = await openOn(createMemoryJournal())
    await store.registerProcess(external('p'))
    const [, report] = await Promise.all([
      store.grantHandle(session('gone', 'f'), 'p', {}),
      store.deleteSessionProcessState('gone'),
    ])
    expect(report.revokedHandleCount).toBe(1)
    expect(await store.handleGrantsForProcess('p')).toEqual([])
  })
})

it('after opening, holders of before are dead: their work is taken over at once, under a higher fence (P-44)', async () => {
  const journal = createMemoryJournal()
  const before = await openOn(journal)
  await before.registerProcess(engine('p'))
  const lease = await acquire(before, 'p', owner('o'))
  await before.close()
  const store = await openOn(journal)
  const claimant = owner('next')
  expect((await store.claimLease('p', claimant, 1000)).outcome).toBe('busy')
  const taken = leaseIn(await store.reclaimLease('p', claimant, lease, 60_000))
  expect(taken.fencingToken).toBe(2)
  await expect(store.completeWithLease(lease, success(1))).rejects.toMatchObject({ code: 'process.lease_superseded' })
  // The one who holds it now is alive.
  expect((await store.reclaimLease('p', owner('third'), taken, 1000)).outcome).toBe('busy')
})

it('replay ends where the live run stood, from a real directory and a snapshot in the middle (P-70)', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'stateward-processes-'))
  try {
    const openDirectory = async (): Promise<OpenedProcessStore> => {
      const store = await openProcessStore({ journal: createDirectoryJournal({ directory: join(directory, 'data') }) })
      open.push(store)
      return store
    }
    const store = await openDirectory()
    for (const id of ['p', 'q']) await store.registerProcess(external(id, { wakeTarget: session('s') }))
    await Promise.all(Array.from({ length: 50 }, (_, index) => store.appendEvent('p', note(index))))
    await store.compact()
    await store.appendEvent('p', note(50))
    await store.completeProcess('q', success(1))
    await store.deleteSessionProcessState('s')
    const live = await Promise.all(['p', 'q'].map((id) => everythingOf(store, id)))
    const changes = await store.processesChangedSince('', 10)
    await store.close()
    const reopened = await openDirectory()
    expect(await Promise.all(['p', 'q'].map((id) => everythingOf(reopened, id)))).toEqual(live)
    expect(await reopened.processesChangedSince('', 10)).toEqual(changes)
  } finally {
    for (const store of open.splice(0)) await store.close()
    await rm(directory, { recursive: true })
  }
})

describe('the journal', () => {
  it('spells names of its own in snake case, and leaves those of users (P-24)', async () => {
    const journal = createMemoryJournal()
    const store = await openOn(journal)
    await store.registerProcess(
      external('p', { input: { type: 'external', metadata: { camelCase: { innerName: 1 } } } }),
    )
    const evidence = { writer: 'sweep', owner: owner('o'), epochMs: 7 } as const
    await store.completeProcess('p', { type: 'abandoned', evidence })
    await store.close()
    const [registered, changed] = await factsIn(journal)
    expect(registered).toMatchObject({
      type: 'process_registered',
      registered: { input: { type: 'external', metadata: { camelCase: { innerName: 1 } } } },
    })
    const output = {
      type: 'abandoned',
      evidence: { writer: 'sweep', owner: { owner_id: 'o', incarnation_id: '1' }, epoch_ms: 7 },
    }
    expect(changed).toMatchObject({
      type: 'process_changed',
      process_id: 'p',
      entries: [
        {
          event_type: 'process.abandoned',
          payload: { await_output: output, authority: { type: 'external_owner' } },
          semantics: { terminal: { state: 'abandoned', await_output: output } },
        },
      ],
    })
  })

  it.each([
    ['an unknown type', (fact: JsonObject) => ({ ...fact, type: 'other' }), 'invalid_input', 'type'],
    ['an unknown version', (fact: JsonObject) => ({ ...fact, version: 2 }), 'invalid_input', 'version'],
    ['an unknown field', (fact: JsonObject) => ({ ...fact, extra: 1 }), 'invalid_input', 'extra'],
    [
      'a process that is not there',
      (fact: JsonObject) => ({ ...fact, process_id: 'q' }),
      'process.stored_invalid',
      'process_changed',
    ],
    [
      'an event out of its place',
      (fact: JsonObject) => ({ ...fact, entries: [{ ...(fact['entries'] as JsonObject[])[0], sequence: 2 }] }),
      'process.stored_invalid',
      'process_changed.entries',
    ],
    [
      'a lease without its fence',
      (fact: JsonObject) => ({ ...fact, lease: { fencing_token: 0 } }),
      'invalid_input',
      'lease.fencingToken',
    ],
  ])('with %s is refused at opening, naming the field (P-73)', async (_, change, code, field) => {
    const journal = createMemoryJournal()
    const store = await openOn(journal)
    await store.registerProcess(external('p'))
    await store.appendEvent('p', note(1))
    await store.close()
    const [first, second] = await factsIn(journal)
    const damaged = await journalOf([first as JsonObject, change(second as JsonObject)])
    await expect(openProcessStore({ journal: damaged })).rejects.toMatchObject({ code, data: { field } })
  })

  it.each([
    ['a process twice', 'process', (row: JsonObject) => [row, row], 'process.stored_invalid', 'process'],
    [
      'a change not given out',
      'process',
      (row: JsonObject) => [{ ...row, change: 99 }],
      'process.stored_invalid',
      'process.change',
    ],
    ['an id that is none', 'log', (row: JsonObject) => [{ ...row, process_id: 'ü' }], 'invalid_input', 'processId'],
    ['a log of nobody', 'log', (row: JsonObject) => [{ ...row, process_id: 'q' }], 'process.stored_invalid', 'log'],
    [
      'a gap in a log',
      'log',
      (row: JsonObject) => [{ ...row, entries: (row['entries'] as []).slice(1) }],
      'process.stored_invalid',
      'log.entries',
    ],
    [
      'a lease of nobody',
      'lease',
      (row: JsonObject) => [{ ...row, process_id: 'q' }],
      'process.stored_invalid',
      'lease',
    ],
    [
      'a handle of another',
      'grants',
      (row: JsonObject) => [{ ...row, process_id: 'gone' }],
      'process.stored_invalid',
      'grants',
    ],
    [
      'a tombstone of what is there',
      'tombstone',
      (row: JsonObject) => [{ ...row, tombstone: { ...(row['tombstone'] as JsonObject), process_id: 'p' } }],
      'process.stored_invalid',
      'tombstone',
    ],
  ])('with a snapshot that holds %s is refused, naming the field (P-73)', async (_, kind, change, code, field) => {
    const journal = createMemoryJournal()
    const store = await openOn(journal)
    for (const id of ['p', 'gone']) await store.registerProcess(external(id))
    await store.completeProcess('gone', success(1))
    await store.pruneTerminal(Infinity, { watermark: noProjector })
    await store.appendEvent('p', note(1))
    await store.appendEvent('p', note(2))
    await store.grantHandle(session('s'), 'p', {})
    await acquire(store, 'p', owner('o'))
    await store.compact()
    await store.close()
    const rows = (await rowsIn(journal)).flatMap((row) => (row['row'] === kind ? change(row) : [row]))
    const damaged = createMemoryJournal()
    const opened = await damaged.open()
    const records = rows.map((row): JournalRecord => ['processes', row])
    await opened.journal.append([['processes', {}]])
    await opened.journal.compact({ through: 1, rows: records })
    await opened.journal.close()
    await expect(openProcessStore({ journal: damaged })).rejects.toMatchObject({ code, data: { field } })
  })
})

it('ids and values out of bounds are refused, at the bound they are not (P-1, P-8, P-22)', async () => {
  const store = await openOn(createMemoryJournal())
  const longest = '~'.repeat(256)
  await store.registerProcess(external(longest))
  const key = `process:${longest}:signal.${'n'.repeat(200)}:${longest}`
  expect((await store.appendEvent(longest, { ...note(1), replay: { key } })).event.sequence).toBe(1)
  const payload = 'x'.repeat(2 ** 20 - 2)
  expect((await store.appendEvent(longest, { eventType: 'note', payload })).event.sequence).toBe(2)
  for (const text of [`${payload}x`, `${payload.slice(1)}ü`]) {
    const call = store.appendEvent(longest, { eventType: 'note', payload: text })
    await expect(call).rejects.toMatchObject({ code: 'invalid_input', data: { field: 'payload' } })
  }
  // A built-in type that is declared otherwise is as it was declared.
  const strict = { ...plainType('process.cancel_requested'), payloadSchema: { type: 'string' } } as const
  await store.registerProcess(external('own', { eventTypes: [strict] }))
  const request = { eventType: 'process.cancel_requested', payload: 1, replay: { key: 'k' } }
  await expect(store.appendEvent('own', request)).rejects.toMatchObject({ code: 'process.event_payload_invalid' })
})

async function factsIn(journal: MemoryJournalStore): Promise<JsonObject[]> {
  const { journal: opened, recovery } = await journal.open()
  const facts = [...recovery.records].map(({ record }) => (record as [string, JsonObject])[1])
  await opened.close()
  return facts
}

async function rowsIn(journal: MemoryJournalStore): Promise<JsonObject[]> {
  const { journal: opened, recovery } = await journal.open()
  const rows = [...(recovery.snapshot?.rows ?? [])].map((record) => (record as [string, JsonObject])[1])
  await opened.close()
  return rows
}

async function journalOf(facts: readonly JsonObject[]): Promise<MemoryJournalStore> {
  const journal = createMemoryJournal()
  const { journal: opened } = await journal.open()
  for (const fact of facts) await opened.append([['processes', fact]])
  await opened.close()
  return journal
}
