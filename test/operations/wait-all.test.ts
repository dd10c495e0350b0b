import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { OperationId } from '../../machines/operation-vocabulary.js'
import {
  completed,
  idOf,
  openFixture,
  refusal,
  refusalOf,
  turnId,
  specOf,
  stateOf,
  type Fixture,
} from './support/registry.js'

const noWait = { pendingWait: null }
const otherTurnId = '00000000-0000-7000-9000-000000000002' as typeof turnId

function pendingWait({ operations }: Fixture) {
  return operations.diagnostics().pendingWait
}

describe('waiting for all', () => {
  it('[O-94] of what has ended resolves with outcomes in order and an obligation that names them', async () => {
    const { operations, finish, run } = await openFixture()
    await finish(1)
    await run([2])
    await operations.failOperation(idOf(2), 'broken')
    const wait = operations.waitAll(turnId, [idOf(1), idOf(2)])
    expect(wait.requestId).toMatch(/^[0-9a-f-]{36}$/)
    expect(await wait).toEqual({
      outcomes: [
        { operationId: idOf(1), outcome: completed(1) },
        { operationId: idOf(2), outcome: { type: 'failed', error: 'broken' } },
      ],
      satisfied: { waitRequestId: wait.requestId, turnId, operationIds: [idOf(1), idOf(2)] },
    })
    expect(operations.diagnostics()).toMatchObject(noWait)
  })

  it('[O-94] leaves no barrier behind once it is satisfied', async () => {
    const { operations, finish } = await openFixture()
    await finish(1)
    const { outcomes, satisfied } = await operations.waitAll(turnId, [idOf(1)])
    expect(outcomes).toHaveLength(1)
    expect(satisfied.operationIds).toEqual([idOf(1)])
    expect(operations.diagnostics()).toMatchObject(noWait)
  })

  it('[O-95] gives completed, failed and cancelled outcomes in the order of the request', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1, 2, 3])
    const wait = operations.waitAll(turnId, [idOf(3), idOf(1), idOf(2)])
    await complete(1)
    await operations.cancelOperation(idOf(2), 'stop')
    await operations.failOperation(idOf(3), 'broken')
    const { outcomes, satisfied } = await wait
    expect(outcomes.map(({ operationId, outcome }) => [operationId, outcome.type])).toEqual([
      [idOf(3), 'failed'],
      [idOf(1), 'completed'],
      [idOf(2), 'cancelled'],
    ])
    expect(satisfied.operationIds).toHaveLength(3)
  })

  it('[O-89] for an id twice is refused with the first repeated one, even while another wait is active', async () => {
    const { operations, run } = await openFixture()
    await run([1, 2])
    const twice = [idOf(8), idOf(2), idOf(1), idOf(2), idOf(1)]
    const refused = { code: 'duplicate_wait_operation', id: idOf(2) }
    expect(await refusal(operations.waitAll(turnId, twice))).toEqual(refused)
    expect(operations.diagnostics()).toMatchObject(noWait)
    using wait = operations.waitAll(turnId, [idOf(1)])
    expect(await refusal(operations.waitAll(turnId, twice))).toEqual(refused)
    expect(await stateOf(wait)).toBe('pending')
  })

  it('[O-90] a second time is refused while the first is pending, even for unknown ids; giving up the first clears the way', async () => {
    const fixture = await openFixture()
    const { operations, run } = fixture
    await run([1])
    const first = operations.waitAll(turnId, [idOf(1)])
    expect(await refusal(operations.waitAll(turnId, [idOf(9)]))).toEqual({ code: 'wait_already_active' })
    expect(await refusal(operations.waitAll(turnId, []))).toEqual({ code: 'wait_already_active' })
    expect(pendingWait(fixture)?.requestId).toBe(first.requestId)
    first[Symbol.dispose]()
    expect(pendingWait(fixture)).toBeNull()
    await expect(first.result).rejects.toThrow('the wait was disposed')
  })

  it('[O-91] for an unknown id is refused with the first such id, and leaves no barrier', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    const wait = operations.waitAll(turnId, [idOf(1), idOf(8), idOf(9)])
    expect(await refusal(wait)).toEqual({ code: 'not_found', id: idOf(8) })
    expect(operations.diagnostics()).toMatchObject(noWait)
  })

  it('[O-93] stays pending, shows its request and members, and resolves with the same request id', async () => {
    const fixture = await openFixture()
    const { operations, run, complete } = fixture
    await run([1, 2])
    const wait = operations.waitAll(turnId, [idOf(2), idOf(1)])
    expect(pendingWait(fixture)).toEqual({ requestId: wait.requestId, turnId, operationIds: [idOf(2), idOf(1)] })
    await complete(2)
    expect(await stateOf(wait)).toBe('pending')
    await complete(1)
    expect((await wait).satisfied.waitRequestId).toBe(wait.requestId)
    expect(pendingWait(fixture)).toBeNull()
  })

  it('[O-92] for nothing is satisfied at once', async () => {
    const { operations } = await openFixture()
    expect((await operations.waitAll(turnId, [])).outcomes).toEqual([])
  })

  it('does not depend on the list it was given staying as it was', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1, 2])
    const ids = [idOf(1)]
    const wait = operations.waitAll(turnId, ids)
    ids.push(idOf(2))
    await complete(1)
    const { satisfied } = await wait
    expect(satisfied.operationIds).toEqual([idOf(1)])
    expect(() => (satisfied.operationIds as OperationId[]).push(idOf(2))).toThrow(TypeError)
  })

  it('[O-107] is untouched by draining; it settles when its operations do', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1])
    const wait = operations.waitAll(turnId, [idOf(1)])
    operations.drain()
    expect(await stateOf(wait)).toBe('pending')
    await complete(1)
    expect((await wait).outcomes).toEqual([{ operationId: idOf(1), outcome: completed(1) }])
  })
})

describe('waits of several turns', () => {
  it('go on beside one another: each gets its own outcomes and obligation, and diagnostics list them', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1, 2, 3])
    const one = operations.waitAll(turnId, [idOf(1), idOf(2)])
    const other = operations.waitAll(otherTurnId, [idOf(2), idOf(3)])
    expect(operations.diagnostics()).toMatchObject({
      pendingWait: { requestId: one.requestId },
      pendingWaits: [
        { requestId: one.requestId, turnId, operationIds: [idOf(1), idOf(2)] },
        { requestId: other.requestId, turnId: otherTurnId, operationIds: [idOf(2), idOf(3)] },
      ],
    })
    await complete(2)
    await complete(3)
    expect((await other).satisfied).toEqual({
      waitRequestId: other.requestId,
      turnId: otherTurnId,
      operationIds: [idOf(2), idOf(3)],
    })
    expect(await stateOf(one)).toBe('pending')
    await complete(1)
    expect((await one).outcomes).toEqual(
      [1, 2].map((number) => ({ operationId: idOf(number), outcome: completed(number) })),
    )
    expect(operations.outstandingObligations().map((obligation) => obligation.turnId)).toEqual([turnId, otherTurnId])
    expect(operations.diagnostics()).toMatchObject({ pendingWait: null, pendingWaits: [] })
  })

  it('are one per turn: a second of the same turn is refused, until the first is over', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1, 2])
    using other = operations.waitAll(otherTurnId, [idOf(2)])
    const first = operations.waitAll(turnId, [idOf(1)])
    expect(await refusal(operations.waitAll(turnId, [idOf(2)]))).toEqual({ code: 'wait_already_active' })
    await complete(1)
    await first
    using next = operations.waitAll(turnId, [idOf(2)])
    expect(await stateOf(next)).toBe('pending')
    expect(await stateOf(other)).toBe('pending')
  })

  it('hold their members together: one is let go when the last wait that names it is over', async () => {
    const { operations, run, complete, finish } = await openFixture({ maxCompleted: 1 })
    await run([1, 2])
    const one = operations.waitAll(turnId, [idOf(1), idOf(2)])
    const other = operations.waitAll(otherTurnId, [idOf(1), idOf(2)])
    await complete(1)
    await finish(3)
    one[Symbol.dispose]()
    expect(operations.snapshot(idOf(1))?.status).toBe('completed')
    other[Symbol.dispose]()
    expect(operations.snapshot(idOf(1))).toBeUndefined()
  })

  it('show the oldest in an export; the next process knows of none', async () => {
    const { operations, run, runtime } = await openFixture()
    await run([1])
    using one = operations.waitAll(turnId, [idOf(1)])
    using other = operations.waitAll(otherTurnId, [idOf(1)])
    expect(other.requestId).not.toBe(one.requestId)
    const exported = operations.capturePersistenceSnapshot()
    expect(exported.authority_state).toMatchObject({ wait_request_id: one.requestId, wait_operation_ids: [idOf(1)] })
    const imported = await runtime.importSession('copy', exported)
    expect(imported.operations.diagnostics().pendingWaits).toEqual([])
  })
})

describe('giving up a wait', () => {
  it('[O-99] by disposing it clears the barrier without an obligation', async () => {
    const fixture = await openFixture()
    const { operations, run, complete } = fixture
    await run([1])
    {
      using wait = operations.waitAll(turnId, [idOf(1)])
      expect(pendingWait(fixture)?.requestId).toBe(wait.requestId)
    }
    expect(pendingWait(fixture)).toBeNull()
    await complete(1)
    expect(operations.outstandingObligations()).toEqual([])
  })

  it('by its signal rejects with the reason and leaves no listener', async () => {
    const fixture = await openFixture()
    const { operations, run } = fixture
    await run([1])
    const controller = new AbortController()
    const wait = operations.waitAll(turnId, [idOf(1)], { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(wait.result).rejects.toThrow('enough')
    expect(pendingWait(fixture)).toBeNull()
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  it('[O-100] after it is satisfied is harmless', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1, 2])
    const controller = new AbortController()
    const wait = operations.waitAll(turnId, [idOf(1)], { signal: controller.signal })
    await complete(1)
    wait[Symbol.dispose]()
    controller.abort()
    expect((await wait).outcomes).toHaveLength(1)
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    using next = operations.waitAll(turnId, [idOf(2)])
    wait[Symbol.dispose]()
    expect(await stateOf(next)).toBe('pending')
  })

  it('[O-100] before it begins leaves the barrier idle', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    const signal = AbortSignal.abort(new Error('too late'))
    await expect(operations.waitAll(turnId, [idOf(1)], { signal }).result).rejects.toThrow('too late')
    expect(operations.diagnostics()).toMatchObject(noWait)
  })

  it('by losing a race does not happen: the barrier stays until it is disposed', async () => {
    const fixture = await openFixture()
    const { operations, run } = fixture
    await run([1])
    using wait = operations.waitAll(turnId, [idOf(1)])
    await Promise.race([wait, Promise.resolve()])
    expect(pendingWait(fixture)).not.toBeNull()
  })

  it('is possible after the session was disposed, and does nothing', async () => {
    const { operations, session, run } = await openFixture()
    await run([1])
    const controller = new AbortController()
    const wait = operations.waitAll(turnId, [idOf(1)], { signal: controller.signal })
    session.dispose()
    await expect(wait.result).rejects.toThrow('wait_all completion channel dropped')
    expect(() => wait[Symbol.dispose]()).not.toThrow()
    expect(() => controller.abort()).not.toThrow()
  })
})

describe('members of a wait', () => {
  it('[O-97] that ended early are not evicted before the barrier settles', async () => {
    const { operations, run, complete } = await openFixture({ maxCompleted: 1 })
    await run([1, 2, 3])
    const wait = operations.waitAll(turnId, [idOf(1), idOf(2)])
    await complete(1)
    await complete(3)
    expect(operations.snapshot(idOf(1))?.status).toBe('completed')
    await complete(2)
    expect((await wait).outcomes.map(({ outcome }) => outcome)).toEqual([completed(1), completed(2)])
    // Afterwards they count again: only the last to end is kept.
    expect(operations.listOperations().map(({ id }) => id)).toEqual([idOf(2)])
  })

  it('[O-97] are not collected before the barrier settles; the others are', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1, 2, 3])
    const wait = operations.waitAll(turnId, [idOf(1), idOf(2)])
    await complete(1)
    await complete(3)
    const collectedIds = async () => (await operations.collectCompleted()).map(({ operationId }) => operationId)
    expect(await collectedIds()).toEqual([idOf(3)])
    expect(await collectedIds()).toEqual([])
    await complete(2)
    await wait
    expect(await collectedIds()).toEqual([idOf(1), idOf(2)])
  })

  it('[O-97] that had ended before the wait began are held too, and take their place in order again', async () => {
    const { operations, run, complete, finish } = await openFixture({ maxCompleted: 3 })
    for (const number of [1, 2, 3]) await finish(number)
    await run([4])
    using wait = operations.waitAll(turnId, [idOf(2), idOf(4)])
    for (const number of [5, 6, 7]) await finish(number)
    const kept = () => operations.listOperations().map(({ id }) => Number(id.slice(-2)))
    expect(kept()).toEqual([2, 4, 5, 6, 7])
    await complete(4)
    await wait
    expect(kept()).toEqual([4, 6, 7])
  })

  it('[O-97] are released when the wait is given up', async () => {
    const { operations, run, complete, finish } = await openFixture({ maxCompleted: 1 })
    await run([1, 2])
    const wait = operations.waitAll(turnId, [idOf(1), idOf(2)])
    await complete(1)
    await finish(3)
    expect(operations.snapshot(idOf(1))?.status).toBe('completed')
    wait[Symbol.dispose]()
    expect(operations.snapshot(idOf(1))).toBeUndefined()
  })

  it('[O-98] may be capacity slots: the barrier settles with their outcome although their record is gone', async () => {
    const { operations, run } = await openFixture()
    await operations.registerOperation(specOf(1, 'background_tool_capacity_slot'))
    await operations.provisioningSucceeded(idOf(1))
    await run([2])
    const wait = operations.waitAll(turnId, [idOf(1), idOf(2)])
    await operations.markRetired(idOf(1))
    await operations.cancelOperation(idOf(2))
    expect((await wait).outcomes.map(({ outcome }) => outcome.type)).toEqual(['retired', 'cancelled'])
  })

  it('cost the same however many there are: twenty thousand end in a moment', async () => {
    const many = 20_000
    const { operations } = await openFixture({ maxCompleted: 10 })
    const ids = Array.from({ length: many }, (_, index) => idOf(index + 1))
    for (let number = 1; number <= many; number += 1) void operations.registerOperation(specOf(number))
    const wait = operations.waitAll(turnId, ids)
    for (const id of ids) void operations.abortProvisioning(id)
    const { outcomes } = await wait
    expect(outcomes).toHaveLength(many)
    expect(operations.listOperations()).toHaveLength(10)
  })
})

describe('an obligation', () => {
  it('is outstanding until it is acknowledged, once', async () => {
    const { operations, finish } = await openFixture()
    await finish(1)
    const { satisfied } = await operations.waitAll(turnId, [idOf(1)])
    expect(operations.outstandingObligations()).toEqual([satisfied])
    operations.acknowledgeObligation(satisfied)
    expect(operations.outstandingObligations()).toEqual([])
    expect(refusalOf(() => operations.acknowledgeObligation(satisfied))).toEqual({
      code: 'wait_not_active',
      waitRequestId: satisfied.waitRequestId,
    })
  })

  it('stays open when it is acknowledged for another run or with other members than the wait had', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1, 2])
    const wait = operations.waitAll(turnId, [idOf(1), idOf(2)])
    await complete(1)
    await complete(2)
    const { satisfied } = await wait
    const refused = (field: string, other: Partial<typeof satisfied>) =>
      expect(refusalOf(() => operations.acknowledgeObligation({ ...satisfied, ...other }))).toMatchObject({
        code: 'invalid_input',
        field,
      })
    refused('operationIds', { operationIds: [idOf(1)] })
    refused('operationIds', { operationIds: [idOf(1), idOf(3)] })
    refused('operationIds', { operationIds: [idOf(1), idOf(1)] })
    refused('operationIds', { operationIds: [idOf(1), idOf(2), idOf(3)] })
    refused('turnId', { turnId: '01900000-0000-7000-8000-00000000000f' as typeof turnId })
    expect(operations.outstandingObligations()).toEqual([satisfied])
    operations.acknowledgeObligation({ ...satisfied, operationIds: [idOf(2), idOf(1)] })
    expect(operations.outstandingObligations()).toEqual([])
  })

  it('cannot be acknowledged while its wait is pending', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    using wait = operations.waitAll(turnId, [idOf(1)])
    const satisfied = { waitRequestId: wait.requestId, turnId, operationIds: [idOf(1)] }
    expect(refusalOf(() => operations.acknowledgeObligation(satisfied))).toMatchObject({ code: 'wait_not_active' })
  })
})
