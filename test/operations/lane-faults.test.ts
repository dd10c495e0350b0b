import { describe, expect, it } from 'vitest'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import { ScriptedJournal, settleReactions, storeOf } from '../lane/support/scripted-journal.js'
import { scripted, type Scripted } from './support/scripted.js'
import { completed, idOf, openRuntime, refusal, turnId, specOf, stateOf, syncWhenClosing } from './support/registry.js'

/** What a service would find after a crash now: only what is on stable storage. */
async function afterCrash({ journal }: Scripted) {
  const records = journal.stored.map(({ record }) => record)
  const runtime = await openRuntime({ store: storeOf(syncWhenClosing(new ScriptedJournal()), { records }) })
  return runtime.session('owner')
}

function sequences({ session }: Scripted): [number, OperationId][] {
  return session.feed.since(0).entries.map(({ seq, operationId }) => [seq, operationId])
}

const notAppended = { code: 'lane_not_appended' }

describe('an end that is under way', () => {
  it('[O-64] [O-17] is invisible to every reader', async () => {
    const fixture = await scripted([1])
    const { operations, session, journal, complete } = fixture
    const watch = operations.registerWatcher(idOf(1))
    const wait = operations.waitAll(turnId, [idOf(1)])
    const advance = session.feed.waitForAdvance(0)
    const completion = complete(1)
    await settleReactions()
    expect(await stateOf(completion)).toBe('pending')
    expect(await stateOf(watch)).toBe('pending')
    expect(await stateOf(wait)).toBe('pending')
    expect(await stateOf(advance)).toBe('pending')
    expect(operations.snapshot(idOf(1))).toMatchObject({ status: 'running', terminal: false, outcome: null })
    expect(operations.listOperations()[0]).toMatchObject({ status: 'running' })
    expect(operations.classifyPublicResult(idOf(1))).toBe('running')
    expect(operations.capturePersistenceSnapshot().authority_state).toMatchObject({
      next_completion_seq: 0,
      operations: { [idOf(1)]: { status: 'running', terminal_outcome: null } },
    })
    expect(operations.diagnostics()).toMatchObject({ activeCount: 1, watermark: 0 })
    expect(await operations.collectCompleted()).toEqual([])
    expect(sequences(fixture)).toEqual([])
    await journal.sync()
    expect(await watch).toEqual(completed(1))
    expect((await wait).outcomes).toHaveLength(1)
    expect(await advance).toBe(1)
    expect(sequences(fixture)).toEqual([[1, idOf(1)]])
  })

  it('still occupies its place among the live', async () => {
    const { operations, journal, complete } = await scripted([1], { maxConcurrent: 1 })
    const completion = complete(1)
    const full = { code: 'max_concurrent_exceeded', limit: 1, active: 1 }
    const refused = refusal(operations.registerOperation(specOf(2)))
    await journal.sync()
    await completion
    expect(await refused).toEqual(full)
    expect(await refusal(operations.registerOperation(specOf(2)))).toBe('resolved')
  })

  it('refuses a second end, a report and a peer, but only once the first is durable', async () => {
    const { operations, journal, complete } = await scripted([1])
    const completion = complete(1)
    const second = operations.cancelOperation(idOf(1))
    const report = operations.reportProgress(idOf(1), { message: 'late' })
    await settleReactions()
    expect(await stateOf(second)).toBe('pending')
    expect(await stateOf(report)).toBe('pending')
    await journal.sync()
    await completion
    expect(await refusal(second)).toMatchObject({ code: 'invalid_transition', status: 'completed' })
    expect(await refusal(report)).toMatchObject({ code: 'invalid_transition', status: 'completed' })
    expect(operations.snapshot(idOf(1))?.progressCount).toBe(0)
  })

  it('that fails takes along the refusals that leaned on it: both calls may be made again', async () => {
    const { operations, journal, complete } = await scripted([1])
    const completion = complete(1)
    const second = operations.cancelOperation(idOf(1))
    await journal.fail('journal_not_appended')
    expect(await refusal(completion)).toMatchObject(notAppended)
    expect(await refusal(second)).toMatchObject(notAppended)
    const again = operations.cancelOperation(idOf(1))
    await journal.sync()
    await again
    expect(operations.snapshot(idOf(1))?.status).toBe('cancelled')
  })

  it('shares its sync with others, and all settle in order', async () => {
    const fixture = await scripted([1, 2, 3])
    const { journal, complete } = fixture
    const order: number[] = []
    const ends = [3, 1, 2].map(async (number) => {
      await complete(number)
      order.push(number)
    })
    expect(journal.underWay).toHaveLength(3)
    await journal.sync()
    await Promise.all(ends)
    expect(order).toEqual([3, 1, 2])
    expect(sequences(fixture)).toEqual([
      [1, idOf(3)],
      [2, idOf(1)],
      [3, idOf(2)],
    ])
  })
})

describe('a refused write', () => {
  it('[O-48] leaves everything as it was: running, feed empty, watermark 0, watch pending; the same call then succeeds', async () => {
    const fixture = await scripted([1])
    const { operations, session, journal, complete } = fixture
    const watch = operations.registerWatcher(idOf(1))
    const completion = complete(1)
    expect(journal.underWay).toHaveLength(1)
    await journal.fail('journal_not_appended')
    expect(await refusal(completion)).toMatchObject(notAppended)
    expect(operations.snapshot(idOf(1))).toMatchObject({ status: 'running', watcherCount: 1 })
    expect(operations.activeCount).toBe(1)
    expect(session.feed.since(0)).toMatchObject({ entries: [], watermark: 0 })
    expect(await stateOf(watch)).toBe('pending')
    const again = complete(1)
    await journal.sync()
    await again
    expect(await watch).toEqual(completed(1))
    expect(sequences(fixture)).toEqual([[1, idOf(1)]])
    expect((await afterCrash(fixture)).feed.since(0).entries).toHaveLength(1)
  })

  it('takes back every end behind it, and their sequences are given again without a gap', async () => {
    const fixture = await scripted([1, 2, 3])
    const { journal, complete } = fixture
    const ends = [complete(1), complete(2), complete(3)]
    await journal.fail('journal_not_appended')
    for (const end of ends) expect(await refusal(end)).toMatchObject(notAppended)
    const again = [complete(3), complete(1)]
    await journal.sync()
    await Promise.all(again)
    expect(sequences(fixture)).toEqual([
      [1, idOf(3)],
      [2, idOf(1)],
    ])
  })

  it('of a barrier member leaves the wait pending, and it is satisfied by the second attempt', async () => {
    const { operations, journal, complete } = await scripted([1])
    const wait = operations.waitAll(turnId, [idOf(1)])
    const completion = complete(1)
    await journal.fail('journal_not_appended')
    await refusal(completion)
    expect(await stateOf(wait)).toBe('pending')
    const again = complete(1)
    await journal.sync()
    await again
    expect((await wait).outcomes).toEqual([{ operationId: idOf(1), outcome: completed(1) }])
  })

  it('of a termination leaves all of them live, and it may be made again', async () => {
    const { operations, journal } = await scripted([1, 2])
    const termination = operations.terminateOwner('leaving')
    await journal.fail('journal_not_appended')
    expect(await refusal(termination)).toMatchObject(notAppended)
    expect(operations.activeCount).toBe(2)
    const again = operations.terminateOwner('leaving')
    await journal.sync()
    await again
    expect(operations.activeCount).toBe(0)
  })

  it('repeats what had only been noted, before anything new', async () => {
    const fixture = await scripted([])
    const { operations, journal, run, complete } = fixture
    await run([1])
    expect(operations.advanceCompletionCursor('agent_applied', 4)).toBe(4)
    await journal.fail('journal_not_appended')
    const completion = complete(1)
    await journal.sync()
    await completion
    const recovered = await afterCrash(fixture)
    expect(recovered.feed.since(0).entries.map(({ operationId }) => operationId)).toEqual([idOf(1)])
    expect(recovered.operations.completionCursor('agent_applied')).toBe(4)
    expect(recovered.lost).toEqual([])
  })
})

describe('a failed sync', () => {
  it('leaves nothing visible and poisons until reopening: then the same call succeeds with one entry', async () => {
    const fixture = await scripted([1, 2])
    const { operations, runtime, journal, complete } = fixture
    const first = complete(1)
    const behind = complete(2)
    await journal.fail('journal_durability_unknown')
    expect(await refusal(first)).toMatchObject({ code: 'lane_durability_unknown' })
    expect(await refusal(behind)).toMatchObject({ code: 'lane_poisoned' })
    expect(runtime.health.status).toBe('poisoned')
    expect(operations.snapshot(idOf(1))?.status).toBe('running')
    expect(sequences(fixture)).toEqual([])
    expect(await refusal(complete(1))).toMatchObject({ code: 'lane_poisoned' })
    expect(await refusal(operations.registerOperation(specOf(3)))).toMatchObject({ code: 'lane_poisoned' })
    expect(operations.listOperations()).toHaveLength(2)
    await runtime.reopen()
    expect(runtime.health).toEqual({ status: 'open' })
    const again = complete(1)
    await journal.sync()
    await again
    expect(sequences(fixture)).toEqual([[1, idOf(1)]])
  })

  it('does not keep capacity slots from being released: they leave no trace', async () => {
    const { operations, journal, complete } = await scripted([1], { maxConcurrent: 2 })
    await operations.registerOperation(specOf(2, 'background_tool_capacity_slot'))
    void complete(1).catch(() => {})
    await journal.fail('journal_durability_unknown')
    expect(await refusal(operations.abortProvisioning(idOf(2)))).toBe('resolved')
    expect(operations.activeCount).toBe(1)
  })

  it('loses no cursor: it is appended again by reopening', async () => {
    const fixture = await scripted([1])
    const { operations, runtime, journal } = fixture
    operations.advanceCompletionCursor('runtime_observed', 2)
    await journal.fail('journal_durability_unknown')
    operations.advanceCompletionCursor('runtime_observed', 3)
    await runtime.reopen()
    await journal.sync()
    const recovered = await afterCrash(fixture)
    expect(recovered.operations.completionCursor('runtime_observed')).toBe(3)
  })
})

describe('ends that are taken back together', () => {
  it('give back all their sequences, the latest first', async () => {
    const fixture = await scripted([1, 2, 3, 4])
    const { operations, journal, complete } = fixture
    const first = complete(1)
    await journal.sync()
    await first
    const ended = operations.terminateOwner('leaving')
    await journal.fail('journal_not_appended')
    expect(await refusal(ended)).toMatchObject(notAppended)
    const again = complete(3)
    await journal.sync()
    await again
    expect(sequences(fixture)).toEqual([
      [1, idOf(1)],
      [2, idOf(3)],
    ])
  })
})

describe('capacity slots between ends under way', () => {
  async function withSlots(): Promise<Scripted> {
    const fixture = await scripted([1, 2, 3])
    for (const number of [7, 8])
      await fixture.operations.registerOperation(specOf(number, 'background_tool_capacity_slot'))
    return fixture
  }

  it('[O-49] [O-22] settle at once and take a sequence of their own', async () => {
    const fixture = await withSlots()
    const { operations, journal, complete } = fixture
    const first = complete(1)
    await operations.abortProvisioning(idOf(7))
    expect(operations.snapshot(idOf(7))).toBeUndefined()
    const second = complete(2)
    await journal.sync()
    await Promise.all([first, second])
    expect(sequences(fixture)).toEqual([
      [1, idOf(1)],
      [3, idOf(2)],
    ])
  })

  it('never make two public rows share a sequence when the ends around them are taken back', async () => {
    const fixture = await withSlots()
    const { operations, journal, complete } = fixture
    const doomed = [complete(1)]
    await operations.abortProvisioning(idOf(7))
    doomed.push(complete(2))
    await operations.abortProvisioning(idOf(8))
    await journal.fail('journal_not_appended')
    for (const end of doomed) await refusal(end)
    const again = [complete(3), complete(1), complete(2)]
    await journal.sync()
    await Promise.all(again)
    expect(sequences(fixture)).toEqual([
      [1, idOf(3)],
      [2, idOf(1)],
      [3, idOf(2)],
    ])
    expect((await afterCrash(fixture)).feed.since(0).entries.map(({ seq }) => seq)).toEqual([1, 2, 3])
  })

  it('never make a recovered sequence collide: the counter of a crash may go back, but no public row used it', async () => {
    const fixture = await withSlots()
    const { operations, journal, complete } = fixture
    const first = complete(1)
    await journal.sync()
    await first
    await operations.abortProvisioning(idOf(7))
    const recovered = await afterCrash(fixture)
    expect(recovered.operations.capturePersistenceSnapshot().authority_state.next_completion_seq).toBe(1)
    await recovered.operations.registerOperation(specOf(9))
    void recovered.operations.abortProvisioning(idOf(9))
    expect(recovered.feed.watermark()).toBe(1)
  })
})

describe('terminating an owner whose ends are under way', () => {
  it('leaves them alone and waits for them', async () => {
    const fixture = await scripted([1, 2])
    const { operations, journal, complete } = fixture
    const completion = complete(1)
    const termination = operations.terminateOwner('leaving')
    expect(journal.underWay).toHaveLength(2)
    await journal.sync(1)
    await completion
    expect(await stateOf(termination)).toBe('pending')
    await journal.sync()
    await termination
    expect(operations.snapshot(idOf(1))?.status).toBe('completed')
    expect(operations.snapshot(idOf(2))?.status).toBe('terminated')
  })

  it('waits for them when there is nothing else to end, and fails with them', async () => {
    const { operations, journal, complete } = await scripted([1])
    const completion = complete(1)
    const termination = operations.terminateOwner('leaving')
    expect(await stateOf(termination)).toBe('pending')
    await journal.fail('journal_not_appended')
    expect(await refusal(completion)).toMatchObject(notAppended)
    expect(await refusal(termination)).toMatchObject(notAppended)
    expect(operations.activeCount).toBe(1)
    const again = operations.terminateOwner('leaving')
    await journal.sync()
    await again
    expect(operations.snapshot(idOf(1))?.status).toBe('terminated')
  })

  it('made twice ends each operation once', async () => {
    const fixture = await scripted([1, 2])
    const { operations, journal } = fixture
    const both = [operations.terminateOwner('first'), operations.terminateOwner('second')]
    await journal.sync()
    await Promise.all(both)
    expect(sequences(fixture)).toHaveLength(2)
    expect(operations.snapshot(idOf(2))?.outcome).toEqual({ type: 'terminated', reason: 'first' })
  })
})
