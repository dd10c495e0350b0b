import { describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import {
  completed,
  idOf,
  openFixture,
  peerHandle,
  refusal,
  refusalOf,
  resultOf,
  specOf,
  stateOf,
} from './support/registry.js'

const retired = { code: 'owner_retired' }

describe('terminating an owner', () => {
  it('[O-61] ends what runs and leaves alone what has ended', async () => {
    const { operations, run, finish } = await openFixture()
    await finish(1)
    await run([2])
    await operations.terminateOwner('leaving')
    expect(operations.snapshot(idOf(1))?.outcome).toEqual(completed(1))
    expect(operations.snapshot(idOf(2))?.outcome).toEqual({ type: 'terminated', reason: 'leaving' })
    expect(operations.activeCount).toBe(0)
  })

  it('[O-62] resolves the watches of provisioning and running operations; a late watch agrees', async () => {
    const { operations, run } = await openFixture()
    await operations.registerOperation(specOf(1))
    await run([2])
    const watches = [operations.registerWatcher(idOf(1)), operations.registerWatcher(idOf(2))]
    await operations.terminateOwner('leaving')
    const outcome = { type: 'terminated', reason: 'leaving' }
    expect(await Promise.all(watches)).toEqual([outcome, outcome])
    expect(await operations.registerWatcher(idOf(1))).toEqual(outcome)
    expect(operations.snapshot(idOf(1))?.watcherCount).toBe(0)
  })

  it('[O-61] ends operations in creation order, whatever order they were registered in', async () => {
    const { operations, session, run } = await openFixture()
    await run([3, 1, 2])
    await operations.terminateOwner('leaving')
    expect(session.feed.since(0).entries.map(({ operationId }) => operationId)).toEqual([idOf(1), idOf(2), idOf(3)])
  })

  it('ends capacity slots too, without a trace', async () => {
    const { operations, session } = await openFixture({}, { store: createMemoryJournal() })
    await operations.registerOperation(specOf(1, 'background_tool_capacity_slot'))
    const watch = operations.registerWatcher(idOf(1))
    await operations.terminateOwner('leaving')
    expect(await watch).toEqual({ type: 'terminated', reason: 'leaving' })
    expect(operations.snapshot(idOf(1))).toBeUndefined()
    expect(session.feed.watermark()).toBe(0)
    expect(operations.activeCount).toBe(0)
  })

  it('journals nothing when nothing runs', async () => {
    const { operations, runtime } = await openFixture({}, { store: createMemoryJournal() })
    await runtime.flush()
    const termination = operations.terminateOwner('leaving')
    expect(await stateOf(termination)).toBeUndefined()
  })

  it('takes as many journal appends as it needs for more operations than one append holds', async () => {
    const { operations, session } = await openFixture({ maxCompleted: 1 }, { store: createMemoryJournal() })
    const many = 12_000
    for (let number = 1; number <= many; number += 1) void operations.registerOperation(specOf(number))
    // With this reason all of them together exceed the 32 MiB of one append.
    await operations.terminateOwner('x'.repeat(3_000))
    expect(operations.activeCount).toBe(0)
    expect(session.feed.watermark()).toBe(many)
  })
})

describe('a draining owner', () => {
  it('lets what runs end and refuses what is new', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1])
    operations.drain()
    operations.drain()
    expect(await refusal(operations.registerOperation(specOf(2)))).toEqual(retired)
    expect(await refusal(complete(1))).toBe('resolved')
  })
})

describe('a retired owner', () => {
  it('[O-63] has its live operations terminated and refuses every change', async () => {
    const { operations, run, finish } = await openFixture()
    await finish(1)
    await run([2])
    await operations.retireOwner('gone')
    expect(operations.snapshot(idOf(2))?.outcome).toEqual({ type: 'terminated', reason: 'gone' })
    expect(await refusal(operations.registerOperation(specOf(3)))).toEqual(retired)
    expect(await refusal(operations.completeOperation(idOf(2), resultOf(2)))).toEqual(retired)
    expect(await refusal(operations.reportProgress(idOf(2), { message: '' }))).toEqual(retired)
    expect(await refusal(operations.provisioningSucceeded(idOf(2)))).toEqual(retired)
    expect(await refusal(operations.peerReady(idOf(2), peerHandle))).toEqual(retired)
    expect(await refusal(operations.requestRetire(idOf(2)))).toEqual(retired)
    expect(await refusal(operations.failOperation(idOf(2), ''))).toEqual(retired)
    expect(await refusal(operations.cancelOperation(idOf(2)))).toEqual(retired)
    expect(await refusal(operations.abortProvisioning(idOf(2)))).toEqual(retired)
    expect(await refusal(operations.markRetired(idOf(2)))).toEqual(retired)
    expect(await refusal(operations.collectCompleted())).toEqual(retired)
    expect(await refusal(operations.waitAll(idOf(9) as never, []))).toEqual(retired)
    expect(refusalOf(() => operations.advanceCompletionCursor('agent_applied', 1))).toEqual(retired)
    expect(refusalOf(() => operations.forgetLost([idOf(2)]))).toEqual(retired)
  })

  it('still reads and watches, and terminating or retiring it again does nothing', async () => {
    const { operations, session, finish } = await openFixture()
    await finish(1)
    await operations.retireOwner()
    expect(await operations.registerWatcher(idOf(1))).toEqual(completed(1))
    expect(operations.listOperations()).toHaveLength(1)
    expect(session.feed.since(0).entries).toHaveLength(1)
    expect(await refusal(operations.terminateOwner('again'))).toBe('resolved')
    expect(await refusal(operations.retireOwner())).toBe('resolved')
    expect(operations.capturePersistenceSnapshot().completion_entries).toHaveLength(1)
  })

  it('does not keep its session from being closed', async () => {
    const { operations, runtime, run } = await openFixture()
    await run([1])
    await operations.retireOwner()
    expect(await refusal(runtime.close())).toBe('resolved')
  })
})
