import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ProcessLease } from '../../../src/processes/lease.js'
import type { PostgresProcessStore } from '../../../src/processes/postgres/public.js'
import { noProjector } from '../../../src/processes/pruning.js'
import { createLosingPool, type LosingPool } from '../../postgres/support/losing-pool.js'
import { isOtherServer, startPostgres, usePostgres } from '../../support/postgres-server.js'
import { external, openHost, rerunnable, type Host } from './support/processes.js'

const owner = { ownerId: 'one', incarnationId: 'one' }
const me = { sessionId: 'me' }
const you = { sessionId: 'you' }
const success = { type: 'success', value: 1 } as const

async function leaseOf(store: PostgresProcessStore, id: string): Promise<ProcessLease> {
  const claimed = await store.claimLease(id, owner, 60_000)
  if (claimed.outcome === 'busy') throw new Error('it is held')
  return claimed.lease
}

/** Everything that can be seen of a process, but for times. */
async function seen(store: PostgresProcessStore): Promise<unknown> {
  const lease = await store.getLease('p')
  const events = await store.eventsAfter('p', 0).catch((cause: unknown) => cause)
  const state = {
    terminal: await store.getTerminal('p'),
    events: Array.isArray(events) ? events.map(({ eventType, payload }) => [eventType, payload]) : 'unknown',
    lease: lease && [lease.fencingToken, lease.owner.ownerId],
    handles: [
      (await store.listHandleGrants(me)).map(([grant]) => grant.descriptor),
      (await store.listHandleGrants(you)).map(([grant]) => grant.descriptor),
    ],
    wakes: (await store.pendingWakes(10)).length,
    changes: (await store.processesChangedSince('', 10))[0].length,
  }
  return JSON.parse(JSON.stringify(state, (key, value: unknown) => (/ms$/i.test(key) ? 'time' : value)))
}

/** A call, what has to be there before it, and what its caller is told, as far as that says what was done. */
interface Call {
  readonly before?: (store: PostgresProcessStore) => Promise<unknown>
  readonly call: (store: PostgresProcessStore, prepared: unknown) => Promise<unknown>
  readonly answer: unknown
}

const registered = (store: PostgresProcessStore) => store.registerProcess({ ...rerunnable('p'), wakeTarget: me })
const registeredOutside = (store: PostgresProcessStore) => store.registerProcess(external('p'))
const leased = async (store: PostgresProcessStore): Promise<ProcessLease> => {
  await registered(store)
  return leaseOf(store, 'p')
}
const granted = async (store: PostgresProcessStore): Promise<void> => {
  await registered(store)
  await store.grantHandle(me, 'p', { label: 'mine' })
}

const calls: Readonly<Record<string, Call>> = {
  registerProcess: { call: registered, answer: { id: 'p', status: 'running' } },
  'appendEvent without a key': {
    before: registered,
    call: (store) => store.appendEvent('p', { eventType: 'ring', payload: 1 }),
    answer: { replayed: false, event: { sequence: 1 }, wakeDelivery: { targetSessionId: 'me' } },
  },
  'appendEvent with a key': {
    before: registered,
    call: (store) => store.appendEvent('p', { eventType: 'note', payload: 1, replay: { key: 'k' } }),
    answer: { replayed: false, event: { sequence: 1 } },
  },
  completeProcess: {
    before: registeredOutside,
    call: (store) => store.completeProcess('p', success),
    answer: { outcome: 'committed', record: { status: 'completed' } },
  },
  completeWithLease: {
    before: leased,
    call: (store, lease) => store.completeWithLease(lease as ProcessLease, success),
    answer: { outcome: 'committed', record: { status: 'completed' } },
  },
  claimLease: {
    before: registered,
    call: (store) => store.claimLease('p', owner, 60_000),
    answer: { outcome: 'acquired', lease: { fencingToken: 1 } },
  },
  reclaimLease: {
    before: leased,
    call: (store, lease) =>
      store.reclaimLease('p', { ownerId: 'two', incarnationId: 'two' }, lease as ProcessLease, 60_000),
    answer: { outcome: 'acquired', lease: { fencingToken: 2, owner: { ownerId: 'two' } } },
  },
  renewLease: {
    before: leased,
    call: (store, lease) => store.renewLease(lease as ProcessLease, 60_000),
    answer: { fencingToken: 1 },
  },
  renewLeases: {
    before: leased,
    call: (store, lease) => store.renewLeases([lease as ProcessLease], 60_000),
    answer: [{ fencingToken: 1 }],
  },
  recordFirstStarted: {
    before: leased,
    call: (store, lease) => store.recordFirstStarted('p', { owner, startedAtMs: 1 }, { lease: lease as ProcessLease }),
    answer: { firstStarted: { attempt: 1 } },
  },
  recordStep: {
    before: leased,
    call: (store, lease) => store.recordStep(lease as ProcessLease, { name: 's', ordinal: 1, result: 7 }),
    answer: { name: 's', ordinal: 1, result: 7 },
  },
  setWait: {
    before: registered,
    call: (store) => store.setWait('p', { sinceMs: 1, kind: { type: 'timer', untilMs: 5 } }),
    answer: { wait: { kind: { type: 'timer' } } },
  },
  requestAbandon: {
    before: registered,
    call: (store) => store.requestAbandon('p', { requestedBy: 'me', requestedAtMs: 1 }),
    answer: { abandonRequest: { requestedBy: 'me' } },
  },
  setExternalRef: {
    before: registered,
    call: (store) => store.setExternalRef('p', { backend: 'b', id: 'i' }),
    answer: { externalRef: { backend: 'b' } },
  },
  grantHandle: {
    before: registered,
    call: (store) => store.grantHandle(me, 'p', { label: 'mine' }),
    answer: { scopeId: 'session:me' },
  },
  transferHandleGrants: {
    before: granted,
    call: async (store) => {
      await store.transferHandleGrants(me, you, ['p'])
      return 'done'
    },
    answer: 'done',
  },
  ackWake: {
    before: async (store) => {
      await registered(store)
      await store.appendEvent('p', { eventType: 'ring', payload: 1 })
    },
    call: async (store) => {
      await store.ackWake('p', 1)
      return 'done'
    },
    answer: 'done',
  },
}

describe('a call whose connection breaks at its commit', () => {
  const schema = 'faults_test'
  let server: Awaited<ReturnType<typeof usePostgres>>
  let losing: LosingPool
  let host: Host

  beforeAll(async () => {
    server = await usePostgres()
    losing = createLosingPool(server.url)
    host = await openHost({ pool: losing.pool }, { schema, isHolderDead: () => true })
  })

  afterAll(async () => {
    await host?.[Symbol.asyncDispose]()
    await losing?.pool.end()
    await server?.[Symbol.asyncDispose]()
  })

  const clear = (): Promise<void> =>
    host.database.transaction((transaction) =>
      transaction.script(`DELETE FROM ${schema}.processes; DELETE FROM ${schema}.process_tombstones`),
    )

  beforeEach(clear)

  it.each(
    Object.entries(calls).flatMap(([name, call]) =>
      (['before', 'after'] as const).map((when) => ({ name, when, call })),
    ),
  )(
    'is done once, and answered as if nothing had been: $name, $when the server hears of it',
    async ({ when, call }) => {
      const { store } = host
      const prepared = await call.before?.(store)
      losing.lose(when)
      expect(await call.call(store, prepared)).toMatchObject(call.answer as object)
      const afterLoss = await seen(store)

      await host.database.transaction((transaction) => transaction.script(`DROP SCHEMA ${schema} CASCADE`))
      await using fresh = await openHost({ pool: losing.pool }, { schema, isHolderDead: () => true })
      expect(await call.call(fresh.store, await call.before?.(fresh.store))).toMatchObject(call.answer as object)
      expect(afterLoss).toEqual(await seen(fresh.store))
    },
  )

  it('says that its outcome is unknown when it cannot be found out', async () => {
    await using impatient = await openHost({ pool: losing.pool, retryMs: 0 }, { schema })
    await registered(impatient.store)
    losing.lose('after')
    await expect(impatient.store.appendEvent('p', { eventType: 'note', payload: 1 })).rejects.toMatchObject({
      code: 'store.unavailable',
      data: { store: 'postgres', outcome: 'unknown' },
    })
    expect(await impatient.store.eventsAfter('p', 0)).toHaveLength(1)
  })
})

describe.skipIf(isOtherServer)('a server that is killed', () => {
  it('loses nothing that was answered, and does nothing twice', async () => {
    await using server = await startPostgres()
    await using host = await openHost({ url: server.url, retryMs: 20_000, maxConnections: 8 })
    const { store } = host
    await store.registerProcess(rerunnable('p'))
    const writing = new AbortController()
    const answered: string[] = []
    const write = async (writer: number): Promise<void> => {
      for (let index = 0; !writing.signal.aborted; index += 1) {
        const payload = `${writer}-${index}`
        const { replayed, event } = await store.appendEvent('p', { eventType: 'note', payload })
        expect([replayed, event.payload]).toEqual([false, payload])
        answered.push(payload)
      }
    }
    const writers = Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)))
    for (let round = 0; round < 3; round += 1) {
      const before = answered.length
      await expect.poll(() => answered.length, { interval: 1, timeout: 10_000 }).toBeGreaterThan(before + 40)
      await server.kill()
      await server.start()
    }
    writing.abort()
    await writers
    const events = await store.eventsAfter('p', 0)
    expect(new Set(events.map(({ payload }) => payload))).toEqual(new Set(answered))
    expect(events).toHaveLength(answered.length)
    expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, index) => index + 1))
  })

  it('is unavailable, and that is no answer about any process', async () => {
    await using server = await startPostgres()
    await using host = await openHost({ url: server.url, retryMs: 0 })
    const { store } = host
    await store.registerProcess(external('p'))
    await server.stop()
    const asked: Promise<unknown>[] = [
      store.getProcess('p'),
      store.getTerminal('p'),
      store.eventsAfter('p', 0),
      store.listProcesses(),
      store.registerProcess(external('q')),
      store.completeProcess('p', success),
      store.pruneTerminal(Infinity, { watermark: noProjector }),
      store.processesChangedSince('', 1),
      store.deleteSessionProcessState('s'),
      store.renewLeases(
        [{ schemaVersion: 2, processId: 'p', owner, leaseToken: 't', fencingToken: 1, claimedAtMs: 1, expiresAtMs: 1 }],
        1,
      ),
    ]
    for (const { reason } of (await Promise.allSettled(asked)) as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({ code: 'store.unavailable', data: { store: 'postgres', outcome: 'not_applied' } })
    }
    await server.start()
    expect(await store.getProcess('p')).toMatchObject({ status: 'running' })
  })
})
