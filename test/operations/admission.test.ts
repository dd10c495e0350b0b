import { describe, expect, it } from 'vitest'
import type { OperationSource, OperationSpec, PeerId, SessionId } from '../../machines/operation-vocabulary.js'
import { settleReactions } from '../lane/support/scripted-journal.js'
import { childSource, idOf, openFixture, openRuntime, refusal, refusalOf, specOf } from './support/registry.js'

const broken = { kind: 'session_child' } as unknown as OperationSource

it('the end of a capacity slot reaches those who watch the session, as every end does', async () => {
  const { session } = await openFixture()
  const versions = new Set<number>()
  const subscription = session.view.store.subscribe(({ context: { version } }) => versions.add(version))
  const slot = session.run({ kind: 'background_tool_capacity_slot', displayName: 'slot' }, () => 'free again')
  expect(await slot.outcome).toMatchObject({ type: 'completed', result: { content: 'free again' } })
  await settleReactions()
  expect(session.view.store.get().context.activeCount).toBe(0)
  expect(versions.size).toBeGreaterThan(0)
  subscription.unsubscribe()
})

describe('registration', () => {
  it('[O-43] of an id that is registered is refused with that id', async () => {
    const { operations } = await openFixture()
    await operations.registerOperation(specOf(1))
    expect(await refusal(operations.registerOperation(specOf(1)))).toEqual({ code: 'already_registered', id: idOf(1) })
  })

  it('[O-41] beyond the limit is refused with limit and active count, until an operation ends', async () => {
    const { operations, run, complete } = await openFixture({ maxConcurrent: 2 })
    await run([1])
    await operations.registerOperation(specOf(2))
    expect(await refusal(operations.registerOperation(specOf(3)))).toEqual({
      code: 'max_concurrent_exceeded',
      limit: 2,
      active: 2,
    })
    expect(operations.snapshot(idOf(3))).toBeUndefined()
    await complete(1)
    expect(await refusal(operations.registerOperation(specOf(3)))).toBe('resolved')
  })

  it('[O-40] without a limit takes a hundred operations', async () => {
    const { operations } = await openFixture()
    for (let number = 1; number <= 100; number += 1) await operations.registerOperation(specOf(number))
    expect(operations.activeCount).toBe(100)
  })

  it('[O-40] takes the limit of the call over the limit of the registry, a larger one too', async () => {
    const { operations } = await openFixture({ maxConcurrent: 1 })
    const withLimit = (number: number, limit: number) =>
      refusal(operations.registerOperationWithAdmissionLimit(specOf(number), limit))
    expect(await withLimit(1, 0)).toEqual({ code: 'max_concurrent_exceeded', limit: 0, active: 0 })
    expect(await withLimit(1, 2)).toBe('resolved')
    expect(await withLimit(2, 2)).toBe('resolved')
    expect(await withLimit(3, 2)).toEqual({ code: 'max_concurrent_exceeded', limit: 2, active: 2 })
    expect(await refusal(operations.registerOperation(specOf(3)))).toMatchObject({ limit: 1, active: 2 })
  })

  it('[O-42] counts capacity slots: at limit 1 a second slot is refused until the first is released, without a trace', async () => {
    const { operations, session } = await openFixture({ maxConcurrent: 1 })
    const slot = 'background_tool_capacity_slot'
    await operations.registerOperation(specOf(1, slot))
    await operations.provisioningSucceeded(idOf(1))
    expect(await refusal(operations.registerOperation(specOf(2, slot)))).toMatchObject({
      code: 'max_concurrent_exceeded',
    })
    await operations.markRetired(idOf(1))
    expect(operations.snapshot(idOf(1))).toBeUndefined()
    expect(session.feed.since(0)).toMatchObject({ entries: [], watermark: 0 })
    expect(await refusal(operations.registerOperation(specOf(2, slot)))).toBe('resolved')
  })

  it('[O-39] judges in this order: id in use, then source, then capacity', async () => {
    const { operations } = await openFixture({ maxConcurrent: 1 })
    await operations.registerOperation(specOf(1))
    const malformed = (number: number) => specOf(number, 'background_tool_op', { operationSource: broken })
    expect(await refusal(operations.registerOperation(malformed(1)))).toMatchObject({ code: 'already_registered' })
    expect(await refusal(operations.registerOperation(malformed(2)))).toMatchObject({
      code: 'invalid_input',
      field: 'operationSource.sessionId',
    })
    expect(await refusal(operations.registerOperation(specOf(1)))).toMatchObject({ code: 'already_registered' })
  })

  it('[O-47] [O-24] that is refused leaves no record and no fact', async () => {
    const { operations } = await openFixture({ maxConcurrent: 0 })
    await refusal(operations.registerOperation(specOf(1)))
    expect(operations.listOperations()).toEqual([])
    expect(operations.capturePersistenceSnapshot().authority_state.operations).toEqual({})
    expect(operations.activeCount).toBe(0)
  })

  it('[O-44] of an id whose feed row is retained is refused after its record is gone', async () => {
    const { operations, finish } = await openFixture()
    await finish(1)
    await operations.collectCompleted()
    expect(operations.snapshot(idOf(1))).toBeUndefined()
    expect(await refusal(operations.registerOperation(specOf(1)))).toEqual({ code: 'already_registered', id: idOf(1) })
  })

  it('[O-44] of the id of a capacity slot that ended is accepted: nothing refers to it', async () => {
    const { operations } = await openFixture()
    const slot = 'background_tool_capacity_slot'
    await operations.registerOperation(specOf(1, slot))
    await operations.abortProvisioning(idOf(1))
    expect(await refusal(operations.registerOperation(specOf(1, slot)))).toBe('resolved')
  })
})

describe('a registration payload', () => {
  const wrong: [string, Partial<Record<keyof OperationSpec, unknown>>][] = [
    ['id', { id: 'not-a-uuid' }],
    ['id', { id: idOf(1).toUpperCase().replace('7000', 'ABCD') }],
    ['kind', { kind: 'detached_job_wait' }],
    ['ownerSessionId', { ownerSessionId: ' ' }],
    ['ownerSessionId', { ownerSessionId: 'a\nb' }],
    ['displayName', { displayName: undefined }],
    ['displayName', { displayName: 'x'.repeat(1025) }],
    ['sourceLabel', { sourceLabel: 7 }],
    ['expectPeerChannel', { expectPeerChannel: true }],
    ['operationSource.kind', { operationSource: { kind: 'detached_job' } }],
    ['operationSource.sessionId', { operationSource: { kind: 'session_child', sessionId: '' } }],
    ['operationSource.peerId', { operationSource: { ...childSource, peerId: 'mixture' } }],
    ['operationSource.peerId', { operationSource: { kind: 'backend_peer' } }],
    ['operationSource.address.transport', { operationSource: { kind: 'backend_peer', peerId: 'p' } }],
    [
      'operationSource.address.endpoint',
      { operationSource: { kind: 'backend_peer', peerId: 'p', address: { transport: 'tcp' } } },
    ],
  ]

  it.each(wrong)('[O-1] [O-3] [O-46] [O-13] is refused naming the field: %s', async (field, part) => {
    const { operations } = await openFixture()
    const spec = { ...specOf(1), ...part } as OperationSpec
    expect(await refusal(operations.registerOperation(spec))).toMatchObject({ code: 'invalid_input', field })
    expect(operations.listOperations()).toEqual([])
  })

  it('is copied: changing it afterwards changes nothing', async () => {
    const { operations } = await openFixture()
    const address = { transport: 'tcp' as const, endpoint: 'one:1' }
    const operationSource = { kind: 'backend_peer' as const, peerId: 'peer' as PeerId, address }
    const spec = { ...specOf(1, 'mob_member_child'), operationSource }
    await operations.registerOperation(spec)
    spec.displayName = 'changed'
    address.endpoint = 'two:2'
    operationSource.peerId = 'other' as PeerId
    expect(operations.snapshot(idOf(1))).toMatchObject({
      displayName: 'operation 1',
      operationSource: { kind: 'backend_peer', peerId: 'peer', address: { transport: 'tcp', endpoint: 'one:1' } },
    })
  })

  it('shown in a snapshot cannot be changed through it', async () => {
    const { operations } = await openFixture()
    await operations.registerOperation(specOf(1, 'mob_member_child', { operationSource: childSource }))
    const source = operations.snapshot(idOf(1))?.operationSource as { sessionId: string }
    expect(() => {
      source.sessionId = 'changed'
    }).toThrow(TypeError)
  })

  it('[O-45] has its child session taken from the source, a stale one is replaced', async () => {
    const { operations } = await openFixture()
    const stale = { operationSource: childSource, childSessionId: 'stale' as SessionId }
    await operations.registerOperation(specOf(1, 'mob_member_child', stale))
    await operations.registerOperation(specOf(2, 'background_tool_op', { childSessionId: 'stale' as SessionId }))
    expect(operations.snapshot(idOf(1))?.childSessionId).toBe('child-1')
    expect(operations.snapshot(idOf(2))?.childSessionId).toBeNull()
    const { operation_specs: specs } = operations.capturePersistenceSnapshot()
    expect(specs[idOf(1)]?.child_session_id).toBe('child-1')
    expect(specs[idOf(2)]?.child_session_id).toBeNull()
  })
})

describe('limits', () => {
  it.each([
    ['maxConcurrent', -1],
    ['maxConcurrent', 1.5],
    ['maxCompleted', Number.NaN],
    ['maxCompleted', Number.POSITIVE_INFINITY],
  ])('of a session are whole numbers: %s %d is refused and makes no session', async (field, limit) => {
    const runtime = await openRuntime()
    expect(refusalOf(() => runtime.session('s', { [field]: limit }))).toMatchObject({ code: 'invalid_input', field })
    expect([...runtime.sessions()]).toEqual([])
  })

  it('of one admission are whole numbers', async () => {
    const { operations } = await openFixture()
    const registration = operations.registerOperationWithAdmissionLimit(specOf(1), Number.NaN)
    expect(await refusal(registration)).toMatchObject({ code: 'invalid_input', field: 'limit' })
    expect(operations.activeCount).toBe(0)
  })

  it('[O-12] of zero completed records count as one', async () => {
    const { operations, finish } = await openFixture({ maxCompleted: 0 })
    await finish(1)
    await finish(2)
    expect(operations.listOperations().map(({ id }) => id)).toEqual([idOf(2)])
  })
})
