import { describe, expect, it } from 'vitest'
import { createDeferred } from '../../src/base/promises.js'
import { IdleWake } from '../../src/operations/idle-wake.js'
import { operationsSystem, type OperationsSystem } from '../../src/operations/system.js'
import { TurnBoundary } from '../../src/operations/turn-boundary.js'
import { Turn } from '../../src/operations/turn.js'
import { createRuntime } from '../../src/runtime.js'
import { unhandledDuring } from '../support/unhandled.js'
import { idOf, resultOf, turnId, specOf } from './support/registry.js'

const unsupported = (method: string) => expect.objectContaining({ code: 'unsupported', data: { method } })

describe('a system of some methods', () => {
  it('refuses each that it lacks by its name, the way it would have answered', async () => {
    const system = operationsSystem({})
    expect(() => system.snapshot(idOf(1))).toThrow(unsupported('snapshot'))
    expect(() => system.lost).toThrow(unsupported('lost'))
    await expect(system.completeOperation(idOf(1), resultOf(1))).rejects.toEqual(unsupported('complete_operation'))
    using wait = system.waitAll(turnId, [idOf(1)])
    await expect(wait).rejects.toEqual(unsupported('wait_all'))
  })

  it('leaves no unhandled rejection behind when nobody looks at the refusal', async () => {
    expect(await unhandledDuring(() => void operationsSystem({}).waitAll(turnId, []))).toEqual([])
  })

  it('can be spread with a method replaced, and wrapped in a proxy; its values are not copied then', async () => {
    await using runtime = await createRuntime()
    const system = operationsSystem(runtime.session('one').operations)
    const { lost, cancelOperation, ...spread } = { ...system, cancelOperation: () => 'another' }
    expect([lost, cancelOperation(), spread.listOperations()]).toEqual([undefined, 'another', []])
    expect({ ...operationsSystem({}) }).toEqual({})
    const proxy = new Proxy(system, { get: (to, name) => (name === 'drain' ? () => 'not yet' : Reflect.get(to, name)) })
    expect([proxy.drain(), proxy.listOperations()]).toEqual(['not yet', []])
  })

  it('has all of a registry, which may be one, and its values as they are then', async () => {
    await using runtime = await createRuntime()
    const registry = runtime.session('one').operations
    const itself: OperationsSystem = registry
    const system = operationsSystem(itself)
    await system.registerOperation(specOf(1))
    expect(system.snapshot(idOf(1))).toMatchObject({ status: 'provisioning' })
    expect([system.epochId, system.lost]).toEqual([registry.epochId, []])
    await system.cancelOperation(idOf(1))
  })
})

describe('what runs turns takes a system that is no registry', () => {
  it('Turn', async () => {
    const acknowledged: unknown[] = []
    const satisfied = { waitRequestId: 'w' as never, turnId, operationIds: [idOf(1)] }
    const operations = operationsSystem({
      waitAll: () => Object.assign(Promise.resolve({ outcomes: [], satisfied }), { [Symbol.dispose]: () => {} }),
      acknowledgeObligation: (obligation) => void acknowledged.push(obligation),
    })
    using turn = new Turn({ turnId, operations })
    await turn.awaitOperations([{ operationId: idOf(1), waitPolicy: 'barrier' }])
    expect([turn.state, acknowledged]).toEqual(['draining_boundary', [satisfied]])
    using refused = new Turn({ turnId, operations: operationsSystem({}) })
    await expect(refused.awaitOperations([{ operationId: idOf(1), waitPolicy: 'barrier' }])).rejects.toEqual(
      unsupported('wait_all'),
    )
  })

  it('TurnBoundary and IdleWake', async () => {
    await using runtime = await createRuntime()
    const { operations: registry } = runtime.session('one')
    const { completionFeed, completionCursor, advanceCompletionCursor, classifyCompletionWake } = registry
    const operations = operationsSystem({
      completionFeed: completionFeed.bind(registry),
      completionCursor: completionCursor.bind(registry),
      advanceCompletionCursor: advanceCompletionCursor.bind(registry),
      classifyCompletionWake: classifyCompletionWake.bind(registry),
    })
    await registry.registerOperation(specOf(1))
    await registry.provisioningSucceeded(idOf(1))
    await registry.completeOperation(idOf(1), resultOf(1))
    const injected = createDeferred<unknown>()
    const host = { isQuiescent: () => true, inject: (input: unknown) => (injected.resolve(input), true) }
    const wake = new IdleWake({ operations, host })
    expect(await injected.promise).toMatchObject({ throughSeq: 1 })
    wake[Symbol.dispose]()
    const boundary = new TurnBoundary({ operations, edit: () => {} })
    expect(await boundary.deliver()).toMatchObject({ type: 'delivered', notices: [{ operationId: idOf(1) }] })
  })
})
