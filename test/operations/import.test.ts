import { describe, expect, it } from 'vitest'
import type { JournalRecord } from '../../src/journal/journal.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { ScriptedJournal, settleReactions, storeOf } from '../lane/support/scripted-journal.js'
import { fixtureOf, idOf, openFixture, openRuntime, refusal, resultOf, syncWhenClosing } from './support/registry.js'
import { restart, rows } from './support/restart.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'

/** The document of a session with this many ends of half a megabyte, one after another, and one operation that runs. */
async function largeDocument(ends: number): Promise<unknown> {
  const { operations, run } = await openFixture()
  await run(Array.from({ length: ends + 1 }, (_, index) => index + 1))
  for (let number = 1; number <= ends; number += 1) {
    await operations.completeOperation(idOf(number), resultOf(number, 'x'.repeat(2 ** 19)))
  }
  return operations.capturePersistenceSnapshot()
}

const bytesOf = (record: JournalRecord): number => JSON.stringify(record).length

/** What opening finds of a scripted journal after a crash. */
function leftBy(journal: ScriptedJournal) {
  const snapshot = journal.snapshots.at(-1)
  const through = snapshot?.through ?? 0
  return openRuntime({
    store: {
      open: async () => ({
        journal: syncWhenClosing(new ScriptedJournal()),
        recovery: {
          ...(snapshot !== undefined && { snapshot }),
          records: journal.stored.filter(({ sequence }) => sequence > through),
        },
      }),
    },
  })
}

/** An import under way, of which this many groups are durable. */
async function importing(document: unknown, groups: number) {
  const journal = new ScriptedJournal()
  const runtime = await openRuntime({ store: storeOf(syncWhenClosing(journal)), clock: new SimulatedClock() })
  const session = runtime.importSession('owner', document)
  session.catch(() => {})
  for (let group = 0; group < groups; group += 1) await journal.sync()
  return { journal, runtime, session }
}

const ends = 7

describe('a large import', () => {
  it('[O-148] is journalled in groups that fit, one after another, each of about what one record may take', async () => {
    const document = await largeDocument(ends)
    const { journal, session } = await importing(document, 0)
    let groups = 0
    while (journal.underWay.length > 0) {
      expect(journal.underWay).toHaveLength(1)
      groups += 1
      await journal.sync()
    }
    expect((await session).feed.watermark()).toBe(ends)
    expect(groups).toBeGreaterThan(3)
    for (const { record } of journal.stored) expect(bytesOf(record)).toBeLessThan(1.2 * 2 ** 20)
    const names = journal.stored.map(({ record }) => (record as [string, { type: string }])[1].type)
    expect([names[0], new Set(names.slice(1, -1)), names.at(-1)]).toEqual([
      'import_begun',
      new Set(['rows_imported']),
      'session_imported',
    ])
  })

  it('[O-148] is nothing to the next process unless all of it was durable', async () => {
    const document = await largeDocument(ends)
    const { journal, runtime } = await importing(document, 2)
    expect([...runtime.sessions()]).toEqual([])
    expect(() => runtime.session('owner')).toThrow(expect.objectContaining({ code: 'session_exists' }))
    const next = await leftBy(journal)
    expect([...next.sessions()]).toEqual([])
    expect(rows(fixtureOf(next, new SimulatedClock()))).toEqual([])
  })

  it('survives snapshots that are taken while it is under way', async () => {
    const document = await largeDocument(ends)
    const { journal, runtime, session } = await importing(document, 2)
    await runtime.compact()
    expect(journal.snapshots.at(-1)?.through).toBe(journal.stored.length)
    const half = await leftBy(journal)
    expect([...half.sessions()]).toEqual([])
    while (journal.underWay.length > 0) await journal.sync()
    const { epochId } = await session
    const next = fixtureOf(await leftBy(journal), new SimulatedClock())
    expect(next.session.epochId).toBe(epochId)
    expect(rows(next)).toEqual(Array.from({ length: ends }, (_, index) => [index + 1, idOf(index + 1), 'completed']))
    expect(next.session.lost.map(({ id }) => id)).toEqual([idOf(ends + 1)])
  })

  it('[O-148] that breaks off makes room for a session of its name, imported or not, which comes back', async () => {
    const document = await largeDocument(ends)
    for (const isImported of [true, false]) {
      const { journal, runtime, session } = await importing(document, 2)
      await journal.fail('journal_not_appended')
      expect(await refusal(session)).toMatchObject({ code: 'lane_not_appended' })
      const made = isImported ? runtime.importSession('owner', document) : Promise.resolve(runtime.session('owner'))
      await settleReactions()
      while (journal.underWay.length > 0) await journal.sync()
      const { epochId, operations } = await made
      const cancelled = operations.advanceCompletionCursor('agent_applied', 3)
      await journal.sync()
      const next = (await leftBy(journal)).session('owner')
      expect([next.epochId, next.operations.completionCursor('agent_applied')]).toEqual([epochId, cancelled])
      expect(next.feed.watermark()).toBe(isImported ? ends : 0)
    }
  })

  it('is there in memory when it is there on the disk, and goes on from there', async () => {
    const document = await largeDocument(ends)
    const store = createMemoryJournal()
    const runtime = await openRuntime({ store })
    await runtime.importSession('owner', document)
    const before = fixtureOf(runtime, new SimulatedClock())
    await before.finish(ends + 2)
    const exported = before.session.history.exported()
    const after = await restart(runtime, store)
    expect(after.session.history.exported()).toEqual(exported)
    expect(rows(after).at(-1)).toEqual([ends + 1, idOf(ends + 2), 'completed'])
  })
})
