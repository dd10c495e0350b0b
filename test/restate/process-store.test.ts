import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { defineProcess } from '../../src/processes/public.js'
import { connectRestate, registerRestate, serveRestate } from '../../src/restate/index.js'
import { processStoreConformance } from '../../src/testing/process-store-conformance.js'
import type { ProcessStoreFixture } from '../../src/testing/processes/fixture.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { Resources } from './support/resources.js'
import { startRestateServer } from './support/server.js'
import { changeState } from './support/state.js'

const said = defineProcess(
  'said',
  { disposition: 'rerunnable', events: { said: v.number() } },
  async (_: unknown, { step, emit }) => {
    const value = await step('work', () => 1)
    await emit('said', value)
    return value
  },
)
/** Never ends by itself. */
const held = defineProcess(
  'held',
  { disposition: 'rerunnable', signals: { never: v.unknown() } },
  (_: unknown, { waitFor }) => waitFor('never'),
)

const resources = new Resources()
const clock = new SimulatedClock()
let ingress: string
let admin: string

beforeAll(async () => {
  const server = resources.use(await startRestateServer())
  ingress = server.ingress
  admin = server.admin
  const worker = resources.use(await serveRestate({ definitions: [said, held], ingress, clock }))
  await registerRestate({ admin: server.admin, uri: worker.uri })
})
afterAll(resources.close)

/** Puts the row of a process back to where it was before its end, by the administration of the engine: nothing else can. */
async function leaveBehind(owner: string, processId: string): Promise<void> {
  await changeState(admin, { service: 'stateward_processes', key: owner }, (state) => {
    const key = `process/${processId}`
    const row = JSON.parse(state[key] ?? '') as { stored: { state: { status: string; outcome?: unknown } } }
    row.stored.state.status = 'running'
    delete row.stored.state.outcome
    return { ...state, [key]: JSON.stringify(row) }
  })
  // It is done in its turn.
  const store = connectRestate({ ingress }).processes(owner).store()
  while ((await store.getProcess(processId))?.status !== 'running')
    await new Promise((resolve) => setTimeout(resolve, 5))
}

async function createFixture(): Promise<ProcessStoreFixture> {
  const owner = randomUUID()
  const dead = new Set<string>()
  const isHolderDead = ({ leaseToken }: { readonly leaseToken: string }): boolean => dead.has(leaseToken)
  const open = () => connectRestate({ ingress }).processes(owner).store({ isHolderDead })
  return {
    store: open(),
    advance: (milliseconds) => clock.advance(milliseconds),
    declareDead: ({ leaseToken }) => void dead.add(leaseToken),
    // Another client on the same processes: nothing of them was in the one before.
    reopen: async () => open(),
    leaveBehind: (processId) => leaveBehind(owner, processId),
  }
}

// Nothing of it is left out: what the engine cannot do is no part of a store (docs/restate.md says what that is).
processStoreConformance({ describe, it }, 'processes on Restate (R-15)', createFixture)

describe('a process that a workflow runs', () => {
  it('is in the store as every process is: its record, its log and its lease; an end there reaches its run (R-15)', async () => {
    const processes = connectRestate({ ingress }).processes(randomUUID())
    const store = processes.store()
    const done = await processes.start(said, undefined)
    await done.result()
    expect((await store.eventsAfter(done.id, 0)).map(({ eventType }) => eventType)).toEqual([
      'process.first_started',
      'said',
      'process.completed',
    ])
    expect(await store.getProcess(done.id)).toMatchObject({
      status: 'completed',
      input: { type: 'engine', kind: 'said' },
      outcome: { type: 'success', value: 1 },
      firstStarted: { fencingToken: 1, attempt: 1, owner: { ownerId: 'worker' } },
    })
    const open = await processes.start(held, undefined)
    const cancelled = { type: 'cancelled', message: 'through the store' } as const
    const right = { type: 'workflow_key', key: open.id } as const
    expect((await store.completeProcess(open.id, cancelled, right)).outcome).toBe('committed')
    expect(await open.output()).toEqual(cancelled)
    expect((await processes.since(0)).entries.map(({ processId }) => processId)).toEqual([done.id, open.id])
  })

  it('says that the store is away when the engine is', async () => {
    const store = connectRestate({ ingress: 'http://127.0.0.1:9' }).processes('o').store()
    await expect(store.getProcess('p')).rejects.toMatchObject({ code: 'store.unavailable', data: { store: 'restate' } })
  })
})
