import { describe, expect, it } from 'vitest'
import { ScriptedJournal, storeOf } from '../lane/support/scripted-journal.js'
import {
  idOf,
  openFixture,
  openRuntime,
  refusal,
  resultOf,
  turnId,
  specOf,
  stateOf,
  syncWhenClosing,
} from './support/registry.js'
import { scripted, type Scripted } from './support/scripted.js'

const notAppended = { code: 'lane_not_appended' }

describe('a snapshot of the journal', () => {
  /** What is on stable storage, read back as after a crash: the snapshot and the records behind it. */
  async function afterCrashWithSnapshot({ journal }: Scripted) {
    const snapshot = journal.snapshots.at(-1)
    const through = snapshot?.through ?? 0
    const runtime = await openRuntime({
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
    return runtime.session('owner')
  }

  it('[O-112] taken while an end is under way does not keep the end from being read back', async () => {
    const fixture = await scripted([1, 2])
    const { operations, runtime, journal, complete } = fixture
    await operations.registerOperation(specOf(7, 'background_tool_capacity_slot'))
    const completion = complete(1)
    await operations.abortProvisioning(idOf(7))
    await runtime.compact()
    await journal.sync()
    await completion
    const recovered = await afterCrashWithSnapshot(fixture)
    expect(recovered.feed.since(0).entries.map(({ seq, operationId }) => [seq, operationId])).toEqual([[1, idOf(1)]])
    expect(recovered.lost.map(({ id }) => id)).toEqual([idOf(2)])
  })

  it('taken while notes are under way holds them already, and reading them again changes nothing', async () => {
    const fixture = await scripted([1])
    const { operations, runtime, journal, run, complete, session } = fixture
    const first = complete(1)
    await journal.sync()
    await first
    await run([2, 3])
    expect(operations.advanceCompletionCursor('agent_applied', 1)).toBe(1)
    expect(await operations.collectCompleted()).toHaveLength(1)
    await runtime.compact()
    const second = complete(2)
    await journal.sync()
    await second
    const recovered = await afterCrashWithSnapshot(fixture)
    expect(recovered.epochId).toBe(session.epochId)
    expect(recovered.operations.listOperations().map(({ id }) => id)).toEqual([idOf(2)])
    expect(recovered.feed.since(0)).toEqual(session.feed.since(0))
    expect(recovered.operations.completionCursor('agent_applied')).toBe(1)
    expect(recovered.lost.map(({ id, status }) => [id, status])).toEqual([[idOf(3), 'running']])
  })

  it('taken while notes are under way that then fail holds what they say, and they are appended again', async () => {
    const fixture = await scripted([])
    const { operations, runtime, journal, run } = fixture
    await run([1])
    await runtime.compact()
    await journal.fail('journal_not_appended')
    const completion = operations.completeOperation(idOf(1), resultOf(1))
    await journal.sync()
    await completion
    const recovered = await afterCrashWithSnapshot(fixture)
    expect(recovered.feed.since(0).entries).toHaveLength(1)
    expect(recovered.lost).toEqual([])
  })

  it('taken while the opening of a session is under way opens it once', async () => {
    const journal = syncWhenClosing(new ScriptedJournal())
    const fixture = { ...(await openFixture({}, { store: storeOf(journal) })), journal }
    await fixture.runtime.compact()
    await fixture.run([1])
    await journal.sync()
    const recovered = await afterCrashWithSnapshot(fixture)
    expect(recovered.epochId).toBe(fixture.session.epochId)
    expect(recovered.lost.map(({ id }) => id)).toEqual([idOf(1)])
  })

  it('taken while an import is under way holds nothing of a session that may yet be refused', async () => {
    const source = await openFixture()
    await source.finish(1)
    const fixture = await scripted([])
    const { runtime, journal } = fixture
    const importing = refusal(runtime.importSession('imported', source.operations.capturePersistenceSnapshot()))
    await runtime.compact()
    await journal.fail('journal_not_appended')
    expect(await importing).toMatchObject(notAppended)
    expect(journal.snapshots.at(-1)?.rows.filter((row) => JSON.stringify(row).includes('imported'))).toEqual([])
    const again = runtime.importSession('imported', source.operations.capturePersistenceSnapshot())
    await journal.sync()
    expect((await again).feed.watermark()).toBe(1)
  })

  it('taken while members of a wait hold more rows than the feed keeps is read back with its gap', async () => {
    const many = 1100
    const numbers = Array.from({ length: many }, (_, index) => index + 1)
    const fixture = await scripted([...numbers, many + 1], { maxCompleted: 1 })
    const { operations, runtime, journal, complete, session } = fixture
    using wait = operations.waitAll(turnId, [...numbers, many + 1].map(idOf))
    const ends = numbers.map((number) => complete(number))
    await journal.sync()
    await Promise.all(ends)
    await runtime.compact()
    await journal.sync()
    const recovered = await afterCrashWithSnapshot(fixture)
    expect(recovered.feed.since(0)).toEqual(session.feed.since(0))
    expect(recovered.feed.gapAfter(0)).toMatchObject({ droppedThrough: 76, watermark: 1100 })
    expect(await stateOf(wait)).toBe('pending')
  })
})
