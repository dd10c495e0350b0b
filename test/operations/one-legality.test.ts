import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type * as operationModule from '../../machines/operation.js'
import type * as registryModule from '../../machines/operation-registry.js'
import { operationMachine } from '../../machines/operation.js'
import { operationRegistryMachine, type OperationRegistryEvent } from '../../machines/operation-registry.js'
import type { OperationId, WaitRequestId } from '../../machines/operation-vocabulary.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import type { OperationsCore } from '../../src/operations/core.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { idOf, peerHandle, turnId, specOf } from './support/registry.js'

type Chart = 'operation' | 'registry'
type Scenario = readonly [
  guard: string,
  before: readonly OperationRegistryEvent[],
  refused: OperationRegistryEvent,
  code: string,
]

const id = idOf(1)
const register = (number: number, more = {}): OperationRegistryEvent => ({
  type: 'register',
  spec: specOf(number, 'mob_member_child', more),
})
const started: readonly OperationRegistryEvent[] = [register(1), { type: 'operation.start', id }]
const ready: OperationRegistryEvent = { type: 'operation.peer_ready', id, peer: peerHandle }
const wait = (request: string, ...operationIds: readonly OperationId[]): OperationRegistryEvent => ({
  type: 'wait_all.begin',
  requestId: request as WaitRequestId,
  turnId,
  operationIds,
})
const job: readonly OperationRegistryEvent[] = [
  { type: 'register', spec: specOf(1) },
  { type: 'operation.start', id },
]

/** For each guard of an operation that can refuse, an event that nothing else stands against. */
const operationScenarios: readonly Scenario[] = [
  ['expectsPeer', job, ready, 'peer_not_expected'],
  ['hasNoPeer', [...started, ready], ready, 'already_peer_ready'],
  ['isAtWork', [register(1)], ready, 'invalid_transition'],
  ['outcomeIs', started, { type: 'operation.complete', id, outcome: { type: 'retired' } }, 'internal'],
]

const cancel = (number: number): OperationRegistryEvent => ({
  type: 'operation.cancel',
  id: idOf(number),
  outcome: { type: 'cancelled', reason: null },
})
/** A line of operations, each a part of the one before. */
const line = Array.from({ length: 130 }, (_, index): OperationRegistryEvent => {
  const more = index === 0 ? {} : { parentId: idOf(100 + index - 1) }
  return { type: 'register', spec: specOf(100 + index, 'background_tool_op', more), limit: 1_000 }
})

/** The same for the registry, whose guards refuse by holding. */
const registryScenarios: readonly Scenario[] = [
  ['idIsUsed', [register(1)], register(1), 'already_registered'],
  ['sourceIsMalformed', [], register(1, { operationSource: { kind: 'session_child', sessionId: ' ' } }), 'internal'],
  ['parentIsUnknown', [], register(1, { parentId: idOf(7) }), 'parent_not_found'],
  ['treeIsClosed', [register(1), cancel(1)], register(2, { parentId: id }), 'parent_ended'],
  ['treeIsTooDeep', line.slice(0, -1), line.at(-1) as OperationRegistryEvent, 'tree_too_deep'],
  [
    'isBelowEnded',
    [register(1), register(2, { parentId: id }), cancel(1)],
    { type: 'operation.start', id: idOf(2) },
    'parent_ended',
  ],
  ['registryIsFull', [register(1), register(2)], register(3), 'max_concurrent_exceeded'],
  ['waitNamesAnIdTwice', started, wait('one', id, id), 'duplicate_wait_operation'],
  ['turnIsWaiting', [...started, wait('one', id)], wait('two', id), 'wait_already_active'],
  ['waitNamesAnUnknownId', started, wait('one', idOf(7)), 'not_found'],
  [
    'waitIsActive',
    [...started, wait('one', id)],
    { type: 'wait_all.cancel', requestId: 'two' as WaitRequestId, reason: 'left' },
    'wait_not_active',
  ],
]

/** Guards of the registry that choose a way, or that hand the question to the chart of an operation that must exist. */
const others = ['operationIsUnknown', 'operationRefuses', 'operationEnds']

/** Guards of the registry that let pass by holding. */
const positive = ['waitIsActive']

/** The room anew, with a chart in which one guard lets everything pass. */
async function coreWithout(chart: Chart | undefined, guard = ''): Promise<OperationsCore> {
  const guards = { [guard]: () => chart === 'operation' || positive.includes(guard) } as never
  vi.doMock('../../machines/operation.js', async (original) => {
    const stock = await original<typeof operationModule>()
    return chart === 'operation' ? { ...stock, operationMachine: stock.operationMachine.provide({ guards }) } : stock
  })
  vi.doMock('../../machines/operation-registry.js', async (original) => {
    const stock = await original<typeof registryModule>()
    if (chart !== 'registry') return stock
    return { ...stock, operationRegistryMachine: stock.operationRegistryMachine.provide({ guards }) }
  })
  const { OperationsCore: Core } = await import('../../src/operations/core.js')
  return new Core({ clock: new SimulatedClock(), maxConcurrent: 2 })
}

/** Decides and carries out, as a live call does. */
function take(core: OperationsCore, event: OperationRegistryEvent): void {
  if ('outcome' in event) core.end(core.stage(event))
  else core.take(event)
}

beforeEach(() => void vi.resetModules())
afterEach(() => {
  vi.doUnmock('../../machines/operation.js')
  vi.doUnmock('../../machines/operation-registry.js')
  // Files of one process share their modules.
  vi.resetModules()
})

describe.each([
  ['operation', operationScenarios],
  ['registry', registryScenarios],
] as const)('the chart of the %s is the only place that refuses:', (chart, scenarios) => {
  it.each(scenarios)('%s does', async (_, before, refused, code) => {
    const core = await coreWithout(undefined)
    for (const event of before) take(core, event)
    expect(() => take(core, refused)).toThrow(expect.objectContaining({ code }))
    expect(core.isPoisoned).toBe(false)
  })

  it.each(scenarios)('where %s lets pass, nothing else refuses', async (guard, before, refused) => {
    const core = await coreWithout(chart, guard)
    for (const event of [...before, refused]) take(core, event)
    expect(core.isPoisoned).toBe(false)
  })
})

describe('replay', () => {
  it('takes a peer that the chart lets pass, and every end that it does', async () => {
    await coreWithout('operation', 'hasNoPeer')
    const { createRuntime } = await import('../../src/runtime.js')
    const store = createMemoryJournal()
    const before = await createRuntime({ store })
    const { operations } = before.session('owner')
    await operations.registerOperation(specOf(1, 'mob_member_child'))
    await operations.provisioningSucceeded(id)
    await operations.peerReady(id, peerHandle)
    await operations.peerReady(id, peerHandle)
    await operations.failOperation(id, 'broken')
    await before.close()
    const after = await createRuntime({ store })
    expect(after.session('owner').operations.snapshot(id)).toMatchObject({ status: 'failed', peerReady: true })
    await after.close()
  })
})

it('no guard is left that nobody looked at here', () => {
  const names = (machine: { readonly implementations: { readonly guards: object } }): string[] =>
    Object.keys(machine.implementations.guards).toSorted()
  expect(names(operationMachine)).toEqual(operationScenarios.map(([guard]) => guard).toSorted())
  expect(names(operationRegistryMachine)).toEqual([...registryScenarios.map(([guard]) => guard), ...others].toSorted())
})
