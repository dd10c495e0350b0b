import { afterAll, beforeAll, expect, it } from 'vitest'
import { PostgresDatabase } from '../../../src/postgres/index.js'
import { PostgresProcessStore } from '../../../src/processes/postgres/index.js'
import { noProjector } from '../../../src/processes/pruning.js'
import { usePostgres } from '../../support/postgres-server.js'

let server: Awaited<ReturnType<typeof usePostgres>>
let database: PostgresDatabase
beforeAll(async () => {
  server = await usePostgres()
  database = await PostgresDatabase.open({ url: server.url })
})
afterAll(async () => {
  await database?.close()
  await server?.[Symbol.asyncDispose]()
})

it('walks', async () => {
  const store = await PostgresProcessStore.open({ database })
  await PostgresProcessStore.open({ database, createTables: false })
  const record = await store.registerProcess({
    id: 'one',
    input: { type: 'external', metadata: { a: 1 } },
    disposition: 'externally_owned',
    eventTypes: [{ name: 'producer.a', payloadSchema: {}, semantics: { wake: { input: { type: 'payload' } } } }],
    provenance: { originator: { type: 'host' } },
    wakeTarget: { sessionId: 's' },
  })
  expect(await store.getProcess('one')).toEqual(record)
  const first = await store.appendEvent('one', { eventType: 'producer.a', payload: { x: [1, 'ü'] } })
  expect(await store.eventsAfter('one', 0)).toEqual([first.event])
  expect(await store.wakeEventsAfter('one', 0)).toEqual([first.event])
  expect(await store.pendingWakes(10)).toEqual([{ event: first.event, delivery: first.wakeDelivery }])
  await store.ackWake('one', 1)
  expect(await store.wakeEventsAfter('one', 0)).toEqual([])
  expect(await store.pendingWakes(10)).toEqual([])
  const owner = { ownerId: 'o', incarnationId: 'i' }
  const claimed = await store.claimLease('one', owner, 1000)
  expect(claimed.outcome).toBe('acquired')
  const lease = await store.getLease('one')
  expect(claimed).toEqual({ outcome: 'acquired', lease })
  const [renewed] = lease ? await store.renewLeases([lease], 100_000) : []
  expect(renewed).toEqual(await store.getLease('one'))
  expect((await store.listProcesses({ waiting: false, originatorId: 'host', createdAtStartMs: 5 })).length).toBe(1)
  await store.grantHandle({ sessionId: 's' }, 'one', { label: 'l' })
  await store.transferHandleGrants({ sessionId: 's' }, { sessionId: 't' }, ['one'])
  expect((await store.listLiveHandleGrants({ sessionId: 't' })).length).toBe(1)
  expect((await store.handleGrantsForProcess('one')).length).toBe(1)
  const done = await store.completeProcess('one', { type: 'success', value: 5 })
  expect(done.outcome).toBe('committed')
  expect(await store.getTerminal('one')).toEqual({
    state: 'ended',
    status: 'completed',
    output: { type: 'success', value: 5 },
  })
  const [changes, cursor] = await store.processesChangedSince('', 10)
  expect(changes.length).toBe(1)
  expect((await store.listWork(10)).records.length).toBe(0)
  expect(await store.nextWorkAtMs()).toBe(undefined)
  expect(await store.recentEvents('one', 1)).toHaveLength(1)
  expect(await store.countEventsThrough('one', 'producer.a', Infinity)).toBe(1)
  expect(await store.deleteSessionProcessState('t')).toMatchObject({ revokedHandleCount: 1 })
  expect(await store.pruneTerminal(Infinity, { watermark: noProjector })).toEqual({
    prunedProcesses: 1,
    prunedEvents: 2,
  })
  expect(await store.processesChangedSince(cursor, 10)).toMatchObject([
    [{ type: 'pruned', tombstone: { processId: 'one' } }],
    {},
  ])
  expect(await store.compactTombstones(Infinity, { watermark: noProjector })).toBe(1)
})
