import { describe, expect, it } from 'vitest'
import { SequencedFeed } from '../../src/base/feed.js'
import { feedCapacity } from '../../src/operations/index.js'
import { childSource, completed, idOf, openFixture, specOf, type Fixture } from './support/registry.js'

function kept({ operations }: Fixture): number[] {
  return operations.listOperations().map(({ id }) => Number(id.slice(-6)))
}

async function collected({ operations }: Fixture): Promise<number[]> {
  return (await operations.collectCompleted()).map(({ operationId }) => Number(operationId.slice(-6)))
}

describe('collecting', () => {
  it('[O-59] returns what has ended and removes it, leaves what is live, and is empty the second time', async () => {
    const fixture = await openFixture()
    const { operations, finish, run } = fixture
    await finish(1)
    await operations.registerOperation(specOf(2))
    await run([3])
    expect(await operations.collectCompleted()).toEqual([{ operationId: idOf(1), outcome: completed(1) }])
    expect(operations.snapshot(idOf(1))).toBeUndefined()
    expect(operations.classifyPublicResult(idOf(1))).toBe('missing_authority')
    expect(kept(fixture)).toEqual([2, 3])
    expect(await collected(fixture)).toEqual([])
  })

  it('goes by the order of completion, not of registration', async () => {
    const fixture = await openFixture()
    const { run, complete } = fixture
    await run([1, 2, 3])
    for (const number of [2, 3, 1]) await complete(number)
    expect(await collected(fixture)).toEqual([2, 3, 1])
  })

  it('leaves the rows of the feed', async () => {
    const { operations, session, finish } = await openFixture()
    await finish(1)
    await operations.collectCompleted()
    expect(session.feed.since(0).entries.map(({ operationId }) => operationId)).toEqual([idOf(1)])
  })
})

describe('eviction', () => {
  it('[O-57] keeps the last three of five', async () => {
    const fixture = await openFixture({ maxCompleted: 3 })
    for (const number of [1, 2, 3, 4, 5]) await fixture.finish(number)
    expect(kept(fixture)).toEqual([3, 4, 5])
    expect(await collected(fixture)).toEqual([3, 4, 5])
  })

  it('goes on in order after some were collected', async () => {
    const fixture = await openFixture({ maxCompleted: 2 })
    for (const number of [1, 2, 3]) await fixture.finish(number)
    await fixture.operations.collectCompleted()
    for (const number of [4, 5, 6]) await fixture.finish(number)
    expect(kept(fixture)).toEqual([5, 6])
  })

  it('never takes what is live', async () => {
    const fixture = await openFixture({ maxCompleted: 1 })
    await fixture.run([1])
    for (const number of [2, 3, 4]) await fixture.finish(number)
    expect(kept(fixture)).toEqual([1, 4])
  })

  it.each(['evicted', 'collected'])('[O-58] of an operation with a source leaves nothing behind: %s', async (how) => {
    const { operations, finish } = await openFixture({ maxCompleted: 1 })
    await operations.registerOperation(specOf(1, 'mob_member_child', { operationSource: childSource }))
    await operations.abortProvisioning(idOf(1))
    if (how === 'evicted') await finish(2)
    else await operations.collectCompleted()
    expect(operations.snapshot(idOf(1))).toBeUndefined()
    expect(operations.listOperations()).toHaveLength(how === 'evicted' ? 1 : 0)
    const { authority_state: authority, operation_specs: specs } = operations.capturePersistenceSnapshot()
    expect(authority.operations).not.toHaveProperty(idOf(1))
    expect(specs).not.toHaveProperty(idOf(1))
    await finish(3)
    expect(operations.snapshot(idOf(3))?.status).toBe('completed')
  })
})

describe('the completion feed', () => {
  it('[O-67] holds background operations and member children, with their names and times', async () => {
    const { session, finish, clock } = await openFixture()
    await finish(1)
    clock.advance(3)
    await finish(2, 'mob_member_child')
    expect(session.feed.since(0)).toEqual({
      entries: [
        {
          seq: 1,
          operationId: idOf(1),
          kind: 'background_tool_op',
          displayName: 'operation 1',
          outcome: completed(1),
          completedAtMs: 1_767_225_600_000,
        },
        {
          seq: 2,
          operationId: idOf(2),
          kind: 'mob_member_child',
          displayName: 'operation 2',
          outcome: completed(2),
          completedAtMs: 1_767_225_600_003,
        },
      ],
      watermark: 2,
      droppedThrough: 0,
    })
  })

  it('[O-12] [O-68] keeps rows longer than records: four times as many, at least 1024', () => {
    expect([1, 255, 256, 257, 1000].map(feedCapacity)).toEqual([1024, 1024, 1024, 1028, 4000])
  })

  it('[O-68] [O-69] keeps the rows of evicted operations as long as the bound allows, and then announces the gap', async () => {
    const fixture = await openFixture({ maxCompleted: 2 })
    const { session, operations, finish } = fixture
    for (const number of [1, 2, 3, 4]) await finish(number)
    expect(session.feed.since(0).entries).toHaveLength(4)
    expect(Object.keys(operations.capturePersistenceSnapshot().authority_state.completion_feed_entries)).toHaveLength(4)
    expect(kept(fixture)).toEqual([3, 4])
    for (let number = 5; number <= 1026; number += 1) await finish(number)
    expect(session.feed.since(0).entries).toHaveLength(1024)
    expect(session.feed.gapAfter(0)).toEqual({ requestedAfterSeq: 0, droppedThrough: 2, watermark: 1026 })
    expect(session.feed.gapAfter(2)).toBeUndefined()
  })

  it('[O-44] lets an id be used again once its row has left, and keeps both rows right', async () => {
    const { operations, session, finish } = await openFixture({ maxCompleted: 1 })
    for (let number = 1; number <= 1025; number += 1) await finish(number)
    await finish(1)
    const { entries } = session.feed.since(0)
    expect(entries.filter(({ operationId }) => operationId === idOf(1)).map(({ seq }) => seq)).toEqual([1026])
    expect(operations.capturePersistenceSnapshot().authority_state.completion_feed_entries[idOf(1)]?.seq).toBe(1026)
  })

  it('[O-69] of one row reports a gap for cursor 0 and none for cursor 1', () => {
    const feed = new SequencedFeed<{ seq: number }>(1)
    feed.push({ seq: 1 })
    feed.push({ seq: 2 })
    expect(feed.gapAfter(0)).toEqual({ requestedAfterSeq: 0, droppedThrough: 1, watermark: 2 })
    expect(feed.gapAfter(1)).toBeUndefined()
  })

  it('[O-69] that dropped through 4 reports a gap for cursor 3 and none for 4 and 8', () => {
    const feed = new SequencedFeed<{ seq: number }>(5)
    for (let seq = 1; seq <= 9; seq += 1) feed.push({ seq })
    expect([3, 4, 8].map((cursor) => feed.gapAfter(cursor))).toEqual([
      { requestedAfterSeq: 3, droppedThrough: 4, watermark: 9 },
      undefined,
      undefined,
    ])
  })

  it('[O-70] after capacity slots only has watermark 0 and no gap; the next public row is sparse without a gap', async () => {
    const { operations, session, finish } = await openFixture()
    await operations.registerOperation(specOf(1, 'background_tool_capacity_slot'))
    await operations.abortProvisioning(idOf(1))
    expect(session.feed.watermark()).toBe(0)
    expect(session.feed.gapAfter(0)).toBeUndefined()
    await finish(2)
    expect(session.feed.since(0).entries.map(({ seq }) => seq)).toEqual([2])
    expect(session.feed.gapAfter(0)).toBeUndefined()
  })

  it('[O-70] with public and hidden ends interleaved drops only public rows', async () => {
    const feed = new SequencedFeed<{ seq: number }>(2)
    // 1 and 3 belong to capacity slots.
    for (const seq of [2, 4, 5]) feed.push({ seq })
    expect(feed.since(0).entries).toEqual([{ seq: 4 }, { seq: 5 }])
    expect(feed.gapAfter(0)).toMatchObject({ droppedThrough: 2 })
    expect(feed.gapAfter(2)).toBeUndefined()
  })

  it('outlives its session: it can be read, and iterating it comes to an end', async () => {
    const { session, runtime, finish } = await openFixture()
    await finish(1)
    const { feed } = session
    await runtime.close()
    const seen: number[] = []
    for await (const { seq } of feed.entries()) seen.push(seq)
    expect(seen).toEqual([1])
  })
})
