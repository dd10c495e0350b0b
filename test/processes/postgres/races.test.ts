import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import pg from 'pg'
import { usePostgres } from '../../support/postgres-server.js'
import { external, openHost, rerunnable, type Host } from './support/processes.js'

const schema = 'races_test'
let server: Awaited<ReturnType<typeof usePostgres>>
let one: Host
let other: Host

beforeAll(async () => {
  server = await usePostgres()
})

afterAll(() => server?.[Symbol.asyncDispose]())

beforeEach(async () => {
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  await client.end()
  one = await openHost({ url: server.url }, { schema })
  other = await openHost({ url: server.url }, { schema })
  return async () => {
    await one[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
  }
})

const owner = (name: string) => ({ ownerId: name, incarnationId: name })

describe('two hosts that race', () => {
  it('to register the same get the same', async () => {
    for (let round = 0; round < 20; round += 1) {
      const registration = rerunnable(`process-${round}`)
      const records = await Promise.all(
        [one, other, one, other].map(({ store }) => store.registerProcess(registration)),
      )
      for (const record of records) expect(record).toEqual(records[0])
    }
    expect(await one.store.listProcesses()).toHaveLength(20)
  })

  it('to register different things under one id: one is refused, with both hashes', async () => {
    for (let round = 0; round < 20; round += 1) {
      const id = `process-${round}`
      const settled = await Promise.allSettled([
        one.store.registerProcess(rerunnable(id)),
        other.store.registerProcess(external(id)),
      ])
      const refused = settled.filter(({ status }) => status === 'rejected')
      expect(refused).toMatchObject([{ reason: { code: 'process.registration_conflict', data: { processId: id } } }])
    }
  })

  it('for a lease: one has it, and the other knows who', async () => {
    for (let round = 0; round < 20; round += 1) {
      const id = `process-${round}`
      await one.store.registerProcess(rerunnable(id))
      const outcomes = await Promise.all([
        one.store.claimLease(id, owner('one'), 60_000),
        other.store.claimLease(id, owner('other'), 60_000),
      ])
      expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['acquired', 'busy'])
      const leases = outcomes.map((outcome) => (outcome.outcome === 'busy' ? outcome.holder : outcome.lease))
      expect(leases[0]).toEqual(leases[1])
      expect(leases[0]).toMatchObject({ fencingToken: 1 })
    }
  })

  it('to append number their events without gaps, and readers see them in order', async () => {
    await one.store.registerProcess(rerunnable('log'))
    const append = async ({ store }: Host, name: string): Promise<void> => {
      for (let index = 0; index < 30; index += 1)
        await store.appendEvent('log', { eventType: 'note', payload: `${name}${index}` })
    }
    const writers = Promise.all([append(one, 'a'), append(one, 'b'), append(other, 'c'), append(other, 'd')])
    const seen: number[] = []
    while (seen.length < 120) {
      for (const event of await other.store.eventsAfter('log', seen.at(-1) ?? 0)) seen.push(event.sequence)
    }
    await writers
    expect(seen).toEqual(Array.from({ length: 120 }, (_, index) => index + 1))
    expect(await one.store.getProcess('log')).toMatchObject({ lastSequence: 120 })
  })

  it('to end a process: one end stands, and both are told which', async () => {
    for (let round = 0; round < 20; round += 1) {
      const id = `process-${round}`
      await one.store.registerProcess(external(id))
      const [first, second] = await Promise.all([
        one.store.completeProcess(id, { type: 'success', value: 1 }),
        other.store.completeProcess(id, { type: 'success', value: 2 }),
      ])
      expect([first.outcome, second.outcome].sort()).toEqual(['committed', 'superseded'])
      expect(first.record).toEqual(second.record)
      expect(await one.store.eventsAfter(id, 0)).toHaveLength(1)
    }
  })

  it('to hand handles to and fro never wait for each other forever', async () => {
    const ids = Array.from({ length: 8 }, (_, index) => `process-${index}`)
    const [left, right] = [{ sessionId: 'left' }, { sessionId: 'right' }]
    for (const id of ids) {
      await one.store.registerProcess(rerunnable(id))
      await one.store.grantHandle(left, id, { label: id })
    }
    for (let round = 0; round < 10; round += 1) {
      const settled = await Promise.allSettled([
        one.store.transferHandleGrants(left, right, ids),
        other.store.transferHandleGrants(left, right, ids.toReversed()),
      ])
      expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      await one.store.transferHandleGrants(right, left, ids)
    }
    expect((await one.store.listHandleGrants(left)).map(([grant]) => grant.descriptor.label)).toEqual(ids)
  })

  it('renewing many leases in opposite orders renew all', async () => {
    const ids = Array.from({ length: 20 }, (_, index) => `process-${String(index).padStart(2, '0')}`)
    const leases = []
    for (const id of ids) {
      await one.store.registerProcess(rerunnable(id))
      const claimed = await one.store.claimLease(id, owner('one'), 60_000)
      if (claimed.outcome === 'acquired') leases.push(claimed.lease)
    }
    for (let round = 0; round < 10; round += 1) {
      const renewed = await Promise.all([
        one.store.renewLeases(leases, 60_000),
        other.store.renewLeases(leases.toReversed(), 60_000),
      ])
      expect(renewed.map((list) => list.map(({ processId }) => processId))).toEqual([ids, ids.toReversed()])
    }
    const lost = { ...(leases[3] ?? never()), leaseToken: 'another' }
    const answered = await one.store.renewLeases([leases[2] ?? never(), lost, leases[4] ?? never()], 60_000)
    expect(answered.map(({ processId }) => processId)).toEqual(['process-02', 'process-04'])
  })
})

function never(): never {
  throw new Error('there are twenty')
}

describe('the feed of changes', () => {
  it('shows every end once to a reader that follows 48 writers', async () => {
    const ids = Array.from({ length: 48 }, (_, index) => `process-${String(index).padStart(2, '0')}`)
    const write = async (id: string, { store }: Host): Promise<void> => {
      await store.registerProcess(external(id))
      for (const payload of [1, 2]) await store.appendEvent(id, { eventType: 'note', payload })
      await store.completeProcess(id, { type: 'success', value: id })
    }
    const writers = Promise.all(ids.map((id, index) => write(id, index % 2 === 0 ? one : other)))
    const ended: string[] = []
    let cursor = ''
    while (ended.length < ids.length) {
      const [changes, next] = await other.store.processesChangedSince(cursor, 2)
      if (changes.length > 0) expect(next).not.toBe(cursor)
      cursor = next
      for (const change of changes) {
        if (change.type === 'record' && change.record.status !== 'running') ended.push(change.record.id)
      }
    }
    await writers
    expect(ended.toSorted()).toEqual(ids)
    expect((await one.store.processesChangedSince(cursor, 10))[0]).toEqual([])
  })

  it('holds back what is newer than a transaction that still runs, so that nothing appears behind a reader', async () => {
    await one.store.registerProcess(rerunnable('early'))
    const [, start] = await one.store.processesChangedSince('', 10)
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    await client.query('BEGIN')
    await client.query(`UPDATE ${schema}.processes SET change_xid = pg_current_xact_id() WHERE process_id = 'early'`)
    await one.store.registerProcess(rerunnable('late'))
    expect(await one.store.processesChangedSince(start, 10)).toEqual([[], start])
    await client.query('COMMIT')
    await client.end()
    const [changes] = await one.store.processesChangedSince(start, 10)
    expect(changes).toMatchObject([{ record: { id: 'early' } }, { record: { id: 'late' } }])
  })
})

describe('the clock of the server', () => {
  it('decides what is expired, whatever hosts believe', async () => {
    await one.store.registerProcess(rerunnable('leased'))
    const claimed = await one.store.claimLease('leased', owner('one'), 60_000)
    const now = await one.database.now()
    expect(claimed).toMatchObject({ outcome: 'acquired', lease: { fencingToken: 1 } })
    const { claimedAtMs, expiresAtMs } = (await one.store.getLease('leased')) ?? never()
    expect(expiresAtMs - claimedAtMs).toBe(60_000)
    expect(now - claimedAtMs).toBeLessThan(30_000)
    expect(now).toBeGreaterThanOrEqual(claimedAtMs)
    // The row says that it was over a moment ago.
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    await client.query(`UPDATE ${schema}.process_leases SET expires_at_ms = $1`, [now - 1])
    await client.end()
    const lease = claimed.outcome === 'acquired' ? claimed.lease : never()
    expect(await one.store.renewLeases([lease], 60_000)).toEqual([])
    expect(await one.store.getLease('leased')).toMatchObject({ expiresAtMs: now - 1 })
    expect(await other.store.claimLease('leased', owner('other'), 60_000)).toMatchObject({
      outcome: 'acquired',
      lease: { fencingToken: 2 },
    })
    await expect(one.store.renewLease(lease, 1)).rejects.toMatchObject({
      code: 'process.lease_superseded',
    })
  })
})
