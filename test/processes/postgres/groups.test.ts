import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import pg from 'pg'
import { sql } from '../../../src/postgres/index.js'
import { createLosingPool, type LosingPool } from '../../postgres/support/losing-pool.js'
import { usePostgres } from '../../support/postgres-server.js'
import { openHost, rerunnable, type Host } from './support/processes.js'

const schema = 'groups_test'
const note = (payload: unknown) => ({ eventType: 'note', payload }) as { eventType: string; payload: string }
const ids = Array.from({ length: 50 }, (_, index) => `process-${String(index).padStart(2, '0')}`)
let server: Awaited<ReturnType<typeof usePostgres>>
let losing: LosingPool
let host: Host

beforeAll(async () => {
  server = await usePostgres()
  losing = createLosingPool(server.url)
})

afterAll(async () => {
  await losing?.pool.end()
  await server?.[Symbol.asyncDispose]()
})

beforeEach(async () => {
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
  await client.end()
  host = await openHost({ pool: losing.pool }, { schema })
  return () => host[Symbol.asyncDispose]()
})

/** In how many transactions the rows of a table were written last. */
async function transactionsOf(table: string): Promise<unknown> {
  const { rows } = await host.database.read(sql(`SELECT count(DISTINCT xmin::text) AS count FROM ${schema}.${table}`))
  return rows[0]?.['count']
}

describe('commands that come at the same time [P-255]', () => {
  it('are done in one transaction, those of one process in their order', async () => {
    const { store } = host
    const appended = ids.flatMap((id) => [store.registerProcess(rerunnable(id)), store.appendEvent(id, note('first'))])
    await Promise.all([...appended, store.appendEvent('process-00', note('second'))])
    expect(await transactionsOf('processes')).toBe(1)
    const events = await store.eventsAfter('process-00', 0)
    expect(events.map(({ sequence, payload }) => [sequence, payload])).toEqual([
      [1, 'first'],
      [2, 'second'],
    ])
  })

  it('are decided also where their registrations are more than a store remembers', async () => {
    const { store } = host
    const large = 'x'.repeat(1_000_000)
    const input = { type: 'engine', kind: 'test', payload: large } as const
    for (const id of ids.slice(0, 10)) await store.registerProcess({ ...rerunnable(id), input })
    await store.registerProcess(rerunnable('small'))
    // Another host knows the small one alone.
    await using other = await openHost({ url: server.url }, { schema })
    await other.store.getProcess('small')
    const appended = await Promise.all([...ids.slice(0, 10), 'small'].map((id) => other.store.appendEvent(id, note(1))))
    expect(appended.every(({ event }) => event.sequence === 1)).toBe(true)
  })

  it('are refused one by one', async () => {
    const { store } = host
    await Promise.all(ids.map((id) => store.registerProcess(rerunnable(id))))
    const settled = await Promise.allSettled(
      ids.map((id, index) => store.appendEvent(id, index % 2 === 0 ? note(index) : { ...note(0), eventType: 'none' })),
    )
    const expected = ids.map((_, index) => (index % 2 === 0 ? 'fulfilled' : 'rejected'))
    expect(settled.map(({ status }) => status)).toEqual(expected)
    expect(await transactionsOf('process_events')).toBe(1)
  })

  it('are written without the one that the server will not take', async () => {
    const { store } = host
    const own = `ALTER TABLE ${schema}.process_registrations ADD CONSTRAINT own CHECK (process_id <> 'unwritable')`
    await host.database.transaction((transaction) => transaction.script(own))
    const settled = await Promise.allSettled([
      ...ids.slice(0, 3).map((id) => store.registerProcess(rerunnable(id))),
      store.registerProcess(rerunnable('unwritable')),
    ])
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected'])
    expect(settled[3]).toMatchObject({ reason: { code: 'store.constraint', data: { constraint: 'own' } } })
    expect((await store.listProcesses()).map(({ id }) => id)).toEqual(ids.slice(0, 3))
  })

  it('do not wait for one whose process somebody else is changing', async () => {
    const { store } = host
    await Promise.all(ids.map((id) => store.registerProcess(rerunnable(id))))
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    await client.query('BEGIN')
    await client.query(`SELECT FROM ${schema}.processes WHERE process_id = 'process-01' FOR UPDATE`)
    let isDone = false
    const held = store.appendEvent('process-01', note('held')).then(({ event }) => {
      isDone = true
      return event.sequence
    })
    const others = ids.filter((id) => id !== 'process-01')
    for (let round = 1; round <= 3; round += 1) {
      const appended = await Promise.all(others.map((id) => store.appendEvent(id, note(round))))
      expect(new Set(appended.map(({ event }) => event.sequence))).toEqual(new Set([round]))
    }
    const behind = store.appendEvent('process-01', note('behind'))
    expect(isDone).toBe(false)
    await client.query('COMMIT')
    await client.end()
    expect([await held, (await behind).event.sequence]).toEqual([1, 2])
  })

  it.each(['before', 'after'] as const)(
    'are each done once when the connection breaks at their commit, %s the server hears of it',
    async (when) => {
      const { store } = host
      await Promise.all(ids.map((id) => store.registerProcess(rerunnable(id))))
      losing.lose(when)
      const appended = await Promise.all(ids.map((id) => store.appendEvent(id, note('once'))))
      expect(appended.every(({ replayed, event }) => !replayed && event.sequence === 1)).toBe(true)
      for (const id of ids) expect(await store.eventsAfter(id, 0)).toHaveLength(1)
    },
  )
})

describe('wakes that were acknowledged [P-257]', () => {
  it('are no longer among those that are looked through, and stay acknowledged', async () => {
    const { store } = host
    await store.registerProcess({ ...rerunnable('p'), wakeTarget: { sessionId: 's' } })
    // One that is acknowledged before it is there is acknowledged.
    await store.ackWake('p', 3)
    for (const payload of [1, 2, 3]) await store.appendEvent('p', { eventType: 'ring', payload })
    await store.ackWake('p', 1)
    await store.ackWake('p', 1)
    expect((await store.pendingWakes(10)).map(({ event }) => event.sequence)).toEqual([2])
    expect((await store.wakeEventsAfter('p', 0)).map(({ sequence }) => sequence)).toEqual([2])
    const { rows } = await host.database.read(
      sql(`SELECT sequence FROM ${schema}.process_events WHERE wakes IS NULL ORDER BY sequence`),
    )
    expect(rows.map(({ sequence }) => sequence)).toEqual([1])
    const [event] = await store.eventsAfter('p', 0)
    expect(event?.semantics.wake).toMatchObject({ input: 1 })
  })
})
