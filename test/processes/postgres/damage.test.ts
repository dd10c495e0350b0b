import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createDeferred } from '../../../src/base/promises.js'
import { PostgresDatabase, PostgresListener, schemaScript, sql, type SqlValue } from '../../../src/postgres/index.js'
import { PostgresProcessStore, processTables } from '../../../src/processes/postgres/public.js'
import { noProjector, upTo } from '../../../src/processes/pruning.js'
import { createRuntime } from '../../../src/runtime.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { usePostgres } from '../../support/postgres-server.js'
import { external, openHost, rerunnable, type Host } from './support/processes.js'

const schema = 'damage_test'
let server: Awaited<ReturnType<typeof usePostgres>>
let host: Host

const script = (text: string): Promise<void> =>
  host.database.transaction((transaction) =>
    transaction.script(`SET LOCAL search_path = ${schema}; SET LOCAL session_replication_role = replica; ${text}`),
  )
const change = (text: string, values: readonly SqlValue[] = []): Promise<unknown> =>
  host.database.write(sql(text.replaceAll('{s}', schema)), values)
/** Another host, which has read nothing yet. */
const openAgain = (): Promise<PostgresProcessStore> =>
  PostgresProcessStore.open({ database: host.database, schema, createTables: false })

beforeAll(async () => {
  server = await usePostgres()
})

afterAll(() => server?.[Symbol.asyncDispose]())

beforeEach(async () => {
  await using database = await PostgresDatabase.open({ url: server.url })
  await database.write(sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE`))
  host = await openHost({ url: server.url }, { schema })
  return () => host[Symbol.asyncDispose]()
})

describe('a row that nobody can have written', () => {
  const owner = { ownerId: 'o', incarnationId: 'i' }
  it.each([
    ['processes', `status = 'waiting'`, 'processes.status'],
    ['processes', `status = 'failed'`, 'processes.outcome'],
    ['processes', `outcome = '{"type":"success","value":1}'`, 'processes.outcome'],
    ['processes', `facets = '{'`, 'processes.facets'],
    ['processes', `facets = '{"signal_counts":{},"mood":1}'`, 'processes.mood'],
    ['processes', 'updated_at_ms = -1', 'processes.updated_at_ms'],
    ['processes', 'last_sequence = 9223372036854775807', 'processes.last_sequence'],
    ['processes', `wake_session_id = ''`, 'processes.session_id'],
    ['process_registrations', `registered = 'null'`, 'process_registrations.$'],
    [
      'process_registrations',
      `registered = replace(registered, '"rerunnable"', '"whenever"')`,
      'process_registrations.disposition',
    ],
    [
      'process_registrations',
      `registered = replace(registered, '"id":"p"', '"id":"q"')`,
      'process_registrations.registered.id',
    ],
    ['process_events', `payload = 'nothing'`, 'process_events.payload'],
    ['process_events', `semantics = '{"terminal":1}'`, 'process_events.semantics.terminal'],
    ['process_events', `event_type = ''`, 'process_events.event_type'],
    ['process_leases', `owner_id = NULL`, 'process_leases.holder.owner.owner_id'],
    ['process_leases', 'fencing_token = 0', 'process_leases.fencing_token'],
    ['process_grants', `descriptor = '7'`, 'process_grants.$'],
  ])('is refused with its field named: %s where %s', async (table, setting, field) => {
    await host.store.registerProcess(rerunnable('p'))
    await host.store.appendEvent('p', { eventType: 'note', payload: 1 })
    await host.store.claimLease('p', owner, 60_000)
    await host.store.grantHandle({ sessionId: 's' }, 'p', {})
    await change(`UPDATE {s}.${table} SET ${setting}`)
    const store = await openAgain()
    const reads = {
      processes: () => store.getProcess('p'),
      process_registrations: () => store.getProcess('p'),
      process_events: () => store.eventsAfter('p', 0),
      process_leases: () => store.getLease('p'),
      process_grants: () => store.handleGrantsForProcess('p'),
    }
    await expect(reads[table as keyof typeof reads]()).rejects.toMatchObject({
      code: 'process.stored_invalid',
      data: { field },
    })
  })

  it('stops a change of its process, too, and nothing is written', async () => {
    await host.store.registerProcess(external('p'))
    await change(`UPDATE {s}.processes SET facets = '{'`)
    const refused = { code: 'process.stored_invalid', data: { field: 'processes.facets' } }
    await expect(host.store.completeProcess('p', { type: 'success', value: 1 })).rejects.toMatchObject(refused)
    await change(`UPDATE {s}.processes SET facets = '{"signal_counts":{}}'`)
    expect(await host.store.eventsAfter('p', 0)).toEqual([])
  })

  it('is missing its registration', async () => {
    await host.store.registerProcess(external('p'))
    await change('DELETE FROM {s}.process_registrations')
    const store = await openAgain()
    await expect(store.completeProcess('p', { type: 'success', value: 1 })).rejects.toMatchObject({
      code: 'process.stored_invalid',
      data: { field: 'process_registrations' },
    })
  })
})

describe('tables that are not as they must be', () => {
  it.each([
    [
      'the unique replay keys',
      'DROP INDEX process_events_replay_key',
      'index process_events.process_events_replay_key is missing',
    ],
    [
      'a cascade',
      'ALTER TABLE process_events DROP CONSTRAINT process_events_process_id_fkey',
      'constraint process_events.process_events_process_id_fkey is missing',
    ],
    ['a column', 'ALTER TABLE process_leases DROP COLUMN liveness', 'column process_leases.liveness is missing'],
    [
      'the order of ids by bytes',
      `ALTER TABLE process_tombstones ALTER process_id TYPE text COLLATE "en-x-icu"`,
      'column process_tombstones.process_id is text COLLATE en-x-icu NOT NULL, needed is text COLLATE C NOT NULL',
    ],
  ])('are refused when the store is opened: without %s', async (_, damage, difference) => {
    await script(damage)
    await expect(openAgain()).rejects.toMatchObject({
      code: 'store.schema_mismatch',
      data: { schema, part: 'processes', differences: [difference] },
    })
  })

  it('are refused when they were copied from another server, whose transactions have higher numbers', async () => {
    await host.store.registerProcess(external('p'))
    await change(`UPDATE {s}.processes SET change_xid = (pg_current_xact_id()::text::bigint + 1000000)::text::xid8`)
    await expect(openAgain()).rejects.toMatchObject({ code: 'store.schema_mismatch' })
    await script(`UPDATE processes SET change_xid = pg_current_xact_id();
      UPDATE process_tombstones SET change_xid = pg_current_xact_id(); UPDATE versions SET store_id = gen_random_uuid()`)
    await expect(openAgain()).resolves.toBeInstanceOf(PostgresProcessStore)
  })

  it('are made by statements that are shipped with the package', async () => {
    await expect(schemaScript(processTables, 'stateward')).toMatchFileSnapshot(
      '../../../src/processes/postgres/schema.sql',
    )
  })
})

describe('a cursor', () => {
  it('of another store is refused, and prunes nothing', async () => {
    await using other = await openHost({ url: server.url }, { schema: `${schema}_2` })
    await other.store.registerProcess(external('p'))
    const [, foreign] = await other.store.processesChangedSince('', 1)
    await other.database.transaction((transaction) => transaction.script(`DROP SCHEMA ${schema}_2 CASCADE`))
    const store = await openAgain()
    await store.registerProcess(external('p'))
    await store.completeProcess('p', { type: 'success', value: 1 })
    for (const cursor of [foreign, 'postgres:', 'embedded:1', foreign.replace(/\d+:p$/, '99999999999999999999:p')]) {
      await expect(store.processesChangedSince(cursor, 1)).rejects.toMatchObject({ code: 'process.cursor_invalid' })
      await expect(store.pruneTerminal(Infinity, { watermark: upTo(cursor) })).rejects.toMatchObject({
        code: 'process.cursor_invalid',
      })
    }
    expect(await store.pruneTerminal(Infinity, { watermark: noProjector })).toMatchObject({ prunedProcesses: 1 })
  })
})

describe('other hosts', () => {
  it('end waits of a runtime at once when the store notifies, also after the connection broke [P-900]', async () => {
    await using telling = await openHost({ url: server.url }, { schema, notify: true })
    await using hearing = await openHost({ url: server.url }, { schema, notify: true })
    // Its clock stands still, so nothing is polled.
    const runtime = await createRuntime({
      clock: new SimulatedClock(),
      processes: { store: hearing.store },
    })
    const { processes } = runtime
    const completes = async (id: string): Promise<void> => {
      await telling.store.completeProcess(id, { type: 'success', value: id })
    }
    for (const id of ['p', 'q']) await telling.store.registerProcess(external(id))
    const waits = ['p', 'q'].map((id) => processes.get(undefined, id).result())
    await completes('p')
    expect(await waits[0]).toBe('p')
    await telling.database.write(
      sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'`),
    )
    await completes('q')
    expect(await waits[1]).toBe('q')
    await runtime.close()
  })

  it('hear of changes at once when the store notifies', async () => {
    await using telling = await openHost({ url: server.url }, { schema, notify: true })
    const connected = createDeferred<void>()
    const heard: string[] = []
    const last = createDeferred<void>()
    await using listener = host.store.listen((id) => {
      heard.push(id)
      if (id === 'last') last.resolve()
    }, connected.resolve)
    expect(listener).toBeInstanceOf(PostgresListener)
    await connected.promise
    await telling.store.registerProcess(external('p'))
    await telling.store.appendEvent('p', { eventType: 'note', payload: 1 })
    // Neither changes what anybody can wait for.
    await telling.store.grantHandle({ sessionId: 's' }, 'p', {})
    await expect(telling.store.appendEvent('p', { eventType: 'none', payload: 1 })).rejects.toThrow('declares no event')
    await telling.store.registerProcess(external('last'))
    await last.promise
    expect(heard).toEqual(['p', 'p', 'last'])
  })
})
