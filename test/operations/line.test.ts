import { describe, expect, it } from 'vitest'
import type { OperationHandle } from '../../src/operations/index.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { idOf, openFixture, refusal, specOf, stateOf, turnId } from './support/registry.js'
import { open } from './support/restart.js'
import { scriptedWork } from './support/work.js'

const queue = { whenFull: 'queue' } as const

function nth<Item>(items: readonly Item[], index: number): Item {
  const item = items[index]
  if (item === undefined) throw new Error(`there is no item ${index}`)
  return item
}

/** Starts works that end when told, in a session. */
function starter(session: { run: (...given: never[]) => OperationHandle }) {
  return (name: string, options: object = {}) => {
    const scripted = scriptedWork()
    const run = session.run.bind(session) as (name: string, work: unknown, options: object) => OperationHandle
    return { ...scripted, handle: run(name, scripted.work, options) }
  }
}

describe('a session whose operations wait in line', () => {
  it('[O-155] lets as many run as may, the others in the order in which they came', async () => {
    const { session, operations } = await openFixture({ maxConcurrent: 2, ...queue })
    const begin = starter(session)
    const works = ['a', 'b', 'c', 'd'].map((name) => begin(name))
    expect(works.map(({ handle }) => handle.status)).toEqual(['running', 'running', 'queued', 'queued'])
    expect(operations.activeCount).toBe(2)
    expect(await stateOf(nth(works, 2).started)).toBe('pending')
    nth(works, 1).result.resolve('done')
    await nth(works, 1).handle.outcome
    await nth(works, 2).started
    expect(works.map(({ handle }) => handle.status)).toEqual(['running', 'completed', 'running', 'queued'])
    for (const { result } of works) result.resolve('done')
    for (const { handle } of works) expect(await handle.result()).toBe('done')
  })

  it('[O-156] knows who is in line by an id of its own, shown as queued, and nothing of it is durable', async () => {
    const store = createMemoryJournal()
    const before = await open(store)
    before.runtime.session('owner', { maxConcurrent: 1, ...queue })
    const begin = starter(before.session)
    begin('runs')
    const { handle } = begin('waits')
    expect(before.session.view.row(handle.id)).toMatchObject({ displayName: 'waits', status: 'queued', outcome: null })
    expect(before.session.view.live().map(({ status }) => status)).toEqual(['running', 'queued'])
    expect(before.session.view.queuedCount).toBe(1)
    expect(before.operations.snapshot(handle.id)).toBeUndefined()
    await before.runtime.flush()
    store.crash()
    before.session.dispose()
    expect(await refusal(handle.outcome)).toMatchObject({ code: 'channel_closed' })
    await before.runtime.close().catch(() => {})
    const after = await open(store)
    expect(after.session.lost.map(({ displayName }) => displayName)).toEqual(['runs'])
  })

  it('[O-156] shows those in line in the store of the view, and takes them out of it', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    const first = begin('first')
    const live = session.view.select((view) => view.live().map(({ displayName, status }) => `${displayName} ${status}`))
    const second = begin('second')
    await new Promise((resolve) => setImmediate(resolve))
    expect(live.get()).toEqual(['first running', 'second queued'])
    first.result.resolve(1)
    await second.started
    await new Promise((resolve) => setImmediate(resolve))
    expect(live.get()).toEqual(['second running'])
  })

  it('[O-157] takes out of line what is cancelled, which never began', async () => {
    const { session, operations } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    const first = begin('first')
    const second = begin('second')
    const third = begin('third')
    expect(await second.handle.cancel('not needed')).toBe('cancelled_in_line')
    expect(await second.handle.cancel()).toBe('already_ended')
    expect(await refusal(second.handle.outcome)).toEqual({
      code: 'cancelled_in_line',
      id: second.handle.id,
      reason: 'not needed',
    })
    expect(second.handle.status).toBeUndefined()
    first.result.resolve(1)
    await third.started
    expect(await stateOf(second.started)).toBe('pending')
    expect(operations.completionFeed().watermark()).toBe(1)
  })

  it('[O-157] rejects with the reason of a signal that aborts in line', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    begin('first')
    const controller = new AbortController()
    const { handle } = begin('second', { signal: controller.signal })
    controller.abort('enough')
    await expect(handle.outcome).rejects.toBe('enough')
    expect(session.view.queuedCount).toBe(0)
  })

  it('[O-158] begins a wait for it when it is registered', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    const first = begin('first')
    const second = begin('second')
    const waited = session.waitAll(turnId, [second.handle.id, first.handle.id])
    expect(session.operations.diagnostics().pendingWait).toBeNull()
    first.result.resolve(1)
    await second.started
    await new Promise((resolve) => setImmediate(resolve))
    expect(session.operations.diagnostics().pendingWait?.operationIds).toEqual([second.handle.id, first.handle.id])
    second.result.resolve(2)
    expect((await waited).outcomes.map(({ operationId }) => operationId)).toEqual([second.handle.id, first.handle.id])
    expect(session.operations.outstandingObligations()).toEqual([])
  })

  it('[O-158] rejects a wait for what is taken out of line, and gives one up like any other', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    begin('first')
    const second = begin('second')
    const controller = new AbortController()
    const waits = [
      session.waitAll(turnId, [second.handle.id], { signal: controller.signal }),
      session.all([second.handle]),
    ]
    controller.abort('enough')
    await expect(waits[0]).rejects.toBe('enough')
    await second.handle.cancel()
    expect(await refusal(waits[1] as Promise<unknown>)).toMatchObject({ code: 'cancelled_in_line' })
  })

  it('[O-158] rejects a wait as the first of what it names was refused', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    begin('first')
    const parent = begin('parent')
    const [one, other] = [begin('one', { parent: parent.handle }), begin('other', { parent: parent.handle })]
    const waited = session.waitAll(turnId, [other.handle.id, one.handle.id])
    await parent.handle.cancel()
    expect(await refusal(waited)).toMatchObject({ code: 'parent_not_found', id: one.handle.id })
  })

  it('[O-159] has a bound', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue, maxQueued: 1 })
    const begin = starter(session)
    begin('first')
    begin('second')
    expect(await refusal(begin('third').handle.outcome)).toEqual({ code: 'queue_full', limit: 1 })
  })

  it('refuses at once what could never begin', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    begin('first')
    expect(await refusal(begin('x'.repeat(1025)).handle.outcome)).toMatchObject({
      code: 'invalid_input',
      field: 'displayName',
    })
    const { handle } = begin('second')
    const again = session.run({ displayName: 'third', id: handle.id }, () => 1)
    expect(await refusal(again.outcome)).toEqual({ code: 'already_registered', id: handle.id })
  })

  it('[O-44] leaves the id of one in line to nobody else', async () => {
    const { session, operations } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    const first = begin('first')
    const second = begin('second')
    const { id } = second.handle
    const slot = specOf(0, 'background_tool_capacity_slot', { id })
    const registered = operations.registerOperationWithAdmissionLimit(slot, 2)
    expect(await refusal(registered)).toEqual({ code: 'already_registered', id })
    // A part of it follows it through the line; nothing can be registered below it by hand.
    const part = operations.registerOperationWithAdmissionLimit({ ...specOf(1), parentId: id }, 2)
    expect(await refusal(part)).toEqual({ code: 'parent_not_found', id: idOf(1), parentId: id })
    await operations.terminateOwner('owner left')
    expect(await first.handle.outcome).toMatchObject({ type: 'terminated' })
    expect(second.handle.status).toBe('running')
  })

  it('refuses at once an id that runs already', async () => {
    const { session, run } = await openFixture({ maxConcurrent: 1, ...queue })
    await run([1])
    const again = session.run({ displayName: 'again', id: idOf(1) }, () => 1)
    expect(await refusal(again.outcome)).toEqual({ code: 'already_registered', id: idOf(1) })
  })

  it('[O-155] lets in no more than may run when some of its own and some registered by hand end at once', async () => {
    const { session, operations, run } = await openFixture({ maxConcurrent: 2, ...queue })
    const begin = starter(session)
    await run([1])
    const first = session.run({ displayName: 'first', id: idOf(2) }, () => new Promise(() => {}))
    await operations.registerOperationWithAdmissionLimit(specOf(3), 3)
    const works = [begin('a'), begin('b'), begin('c')]
    await operations.terminateOwner('owner left')
    expect(await first.outcome).toMatchObject({ type: 'terminated' })
    expect(works.map(({ handle }) => handle.status)).toEqual(['running', 'running', 'queued'])
    expect(operations.activeCount).toBe(2)
  })

  it('counts what was registered by hand, and hears of another limit', async () => {
    const { session, operations, run } = await openFixture({ maxConcurrent: 2, ...queue })
    const begin = starter(session)
    await run([1, 2])
    const works = [begin('a'), begin('b')]
    expect(works.map(({ handle }) => handle.status)).toEqual(['queued', 'queued'])
    await operations.cancelOperation(idOf(1))
    expect(works.map(({ handle }) => handle.status)).toEqual(['running', 'queued'])
    operations.limitConcurrency(3)
    expect(works.map(({ handle }) => handle.status)).toEqual(['running', 'running'])
    expect(await refusal(operations.registerOperation(specOf(3)))).toMatchObject({ code: 'max_concurrent_exceeded' })
  })

  it('[O-160] holds limits per kind and per key, and lets others pass', async () => {
    const kinds = { background_tool_op: { limit: 3, limitPerKey: 2 } }
    const { session } = await openFixture({ maxConcurrent: 4, ...queue, kinds })
    const begin = starter(session)
    const works = [
      begin('a', { key: 'x' }),
      begin('b', { key: 'x' }),
      begin('c', { key: 'x' }),
      begin('d', { key: 'y' }),
      begin('e'),
    ]
    expect(works.map(({ handle }) => handle.status)).toEqual(['running', 'running', 'queued', 'running', 'queued'])
    const member = session.run({ displayName: 'm', kind: 'mob_member_child' }, () => new Promise(() => {}))
    expect(member.status).toBe('running')
    nth(works, 3).result.resolve(1)
    await nth(works, 4).started
    nth(works, 0).result.resolve(1)
    await nth(works, 2).started
  })

  it('[O-160] refuses what a limit of a kind, key or rate holds back where nobody waits in line', async () => {
    const kinds = { background_tool_op: { rate: { starts: 2, perMs: 1000 } } }
    const { session, clock } = await openFixture({ kinds })
    const begin = starter(session)
    begin('a', { key: 'x' })
    const second = begin('b', { key: 'x' })
    expect(await refusal(second.handle.outcome)).toMatchObject({ code: 'limit_reached', by: 'key' })
    begin('c')
    expect(await refusal(begin('d').handle.outcome)).toMatchObject({ code: 'limit_reached', by: 'rate' })
    clock.advance(1000)
    expect(begin('e').handle.status).toBe('running')
  })

  it('[O-160] starts no more often than the rate says, in line', async () => {
    const kinds = { background_tool_op: { rate: { starts: 1, perMs: 1000 } } }
    const { session, clock } = await openFixture({ ...queue, kinds })
    const begin = starter(session)
    const works = [begin('a'), begin('b')]
    clock.advance(999)
    expect(nth(works, 1).handle.status).toBe('queued')
    clock.advance(1)
    expect(nth(works, 1).handle.status).toBe('running')
  })

  it('[O-161] lets a part of what is in line follow it, and refuses it when its parent has ended', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    const first = begin('first')
    const parent = begin('parent')
    const part = begin('part', { parent: parent.handle })
    const orphan = begin('orphan', { parent: first.handle })
    first.result.resolve(1)
    expect(await refusal(orphan.handle.outcome)).toMatchObject({ code: 'parent_ended', parentId: first.handle.id })
    await parent.started
    expect(part.handle.status).toBe('queued')
    await parent.handle.cancel()
    expect(await refusal(part.handle.outcome)).toMatchObject({ code: 'parent_ended', parentId: parent.handle.id })
  })

  it('[O-161] refuses what would follow one that never began', async () => {
    const { session } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    begin('first')
    const parent = begin('parent')
    const part = begin('part', { parent: parent.handle })
    const below = begin('below', { parent: part.handle })
    await parent.handle.cancel()
    expect(await refusal(part.handle.outcome)).toMatchObject({ code: 'parent_not_found' })
    expect(await refusal(below.handle.outcome)).toMatchObject({ code: 'parent_not_found' })
    expect(session.view.queuedCount).toBe(0)
  })

  it('closes the line first: nothing begins while a session closes', async () => {
    const { session, runtime } = await openFixture({ maxConcurrent: 1, ...queue })
    const begin = starter(session)
    const first = begin('first')
    const second = begin('second')
    await first.started
    await runtime.close({ policy: 'terminate' })
    expect(await refusal(second.handle.outcome)).toMatchObject({ code: 'channel_closed' })
    expect(await stateOf(second.started)).toBe('pending')
  })
})
