import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createDeferred } from '../../src/base/promises.js'
import type { PgPool } from '../../src/postgres/client.js'
import { PostgresDatabase, sql, type PostgresOptions } from '../../src/postgres/index.js'
import { usePostgres } from '../support/postgres-server.js'
import { createLosingPool } from './support/losing-pool.js'
import { rejectionOf } from './support/rejection.js'

let server: Awaited<ReturnType<typeof usePostgres>>
let database: PostgresDatabase

const insert = sql('INSERT INTO database_test.accounts VALUES ($1, $2)')
const add = sql('UPDATE database_test.accounts SET balance = balance + $2 WHERE name = $1')
const readBalance = sql('SELECT balance FROM database_test.accounts WHERE name = $1')
const ownProcess = sql('SELECT pg_backend_pid() AS pid')
const terminate = sql('SELECT pg_terminate_backend($1)')

async function balanceOf(name: string): Promise<unknown> {
  return (await database.read(readBalance, [name])).rows[0]?.['balance']
}

async function withDatabase<Result>(
  options: Partial<PostgresOptions>,
  run: (database: PostgresDatabase) => Promise<Result>,
): Promise<Result> {
  const url = options.pool === undefined ? { url: server.url } : {}
  const other = await PostgresDatabase.open({ ...url, ...options })
  try {
    return await run(other)
  } finally {
    await other.close()
  }
}

beforeAll(async () => {
  server = await usePostgres()
  database = await PostgresDatabase.open({ url: server.url })
  await database.transaction((transaction) =>
    transaction.script(`DROP SCHEMA IF EXISTS database_test CASCADE; CREATE SCHEMA database_test;
      CREATE TABLE database_test.accounts (name text CONSTRAINT one_name PRIMARY KEY, balance integer NOT NULL CONSTRAINT solvent CHECK (balance >= 0));`),
  )
})

afterAll(async () => {
  await database?.close()
  await server?.[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await database.write(sql('TRUNCATE database_test.accounts'))
  await database.transaction(async (transaction) => {
    for (const name of ['ada', 'bob']) await transaction.query(insert, [name, 10])
  })
})

describe('a transaction', () => {
  it('is done as a whole, or not at all, and throws what its body throws', async () => {
    const fault = new Error('the body')
    const refused = await rejectionOf(
      database.transaction(async (transaction) => {
        await transaction.query(add, ['ada', 5])
        throw fault
      }),
    )
    expect(refused).toBe(fault)
    expect(await balanceOf('ada')).toBe(10)

    const result = await database.transaction(async (transaction) => {
      await transaction.query(add, ['ada', -5])
      await transaction.query(add, ['bob', 5])
      return 'moved'
    })
    expect([result, await balanceOf('ada'), await balanceOf('bob')]).toEqual(['moved', 5, 15])
  })

  it('is tried again after a deadlock, and then done once', async () => {
    const meeting = [createDeferred<void>(), createDeferred<void>()] as const
    let attempts = 0
    const move = (own: 0 | 1, names: readonly [string, string]): Promise<void> =>
      database.transaction(async (transaction) => {
        attempts += 1
        await transaction.query(add, [names[0], 1])
        meeting[own].resolve()
        await meeting[own === 0 ? 1 : 0].promise
        await transaction.query(add, [names[1], 1])
      })
    await Promise.all([move(0, ['ada', 'bob']), move(1, ['bob', 'ada'])])
    expect(attempts).toBe(3)
    expect([await balanceOf('ada'), await balanceOf('bob')]).toEqual([12, 12])
  })

  it('is tried again after a serialization failure, until attempts are used up', async () => {
    let attempts = 0
    const run = (rivals: number): Promise<void> =>
      withDatabase({ maxAttempts: 3 }, (other) =>
        other.transaction(async (transaction) => {
          attempts += 1
          await transaction.script('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')
          await transaction.query(readBalance, ['ada'])
          if (attempts <= rivals) await database.write(add, ['ada', 1])
          await transaction.query(add, ['ada', 100])
        }),
      )
    await run(2)
    expect([attempts, await balanceOf('ada')]).toEqual([3, 112])

    attempts = 0
    const refused = await rejectionOf(run(99))
    expect(refused).toMatchObject({ code: 'store.conflict', data: { attempts: 3, sqlState: '40001' } })
    expect([attempts, await balanceOf('ada')]).toEqual([3, 115])
  })

  it('is tried again when its connection is lost, on another one', async () => {
    let attempts = 0
    await database.transaction(async (transaction) => {
      attempts += 1
      expect(transaction.mayHaveLanded).toBe(false)
      await transaction.query(add, ['ada', 1])
      if (attempts > 1) return
      const [own] = (await transaction.query(ownProcess)).rows
      await database.read(terminate, [own?.['pid'] as number])
      await transaction.query(add, ['ada', 1])
    })
    expect([attempts, await balanceOf('ada')]).toEqual([2, 11])
  })

  it('survives that its connection is lost in the moment in which it is handed out', async () => {
    const pool = new pg.Pool({ connectionString: server.url })
    let broken: pg.PoolClient | undefined
    pool.once('acquire', (client) => {
      broken = client
      // Before whoever asked for it has it, and after the pool has let it go.
      queueMicrotask(() => client.emit('error', new Error('terminating connection due to unexpected postmaster exit')))
    })
    await withDatabase({ pool: pool as unknown as PgPool }, (other) =>
      other.transaction((transaction) => transaction.query(add, ['ada', 1])),
    )
    await pool.end()
    expect([broken?.constructor.name, await balanceOf('ada')]).toEqual(['Client', 11])
  })

  it('survives that its connection is lost while it does something else', async () => {
    const pool = new pg.Pool({ connectionString: server.url })
    const ended = createDeferred<void>()
    pool.once('connect', (client) => client.once('end', () => ended.resolve()))
    let attempts = 0
    await withDatabase({ pool: pool as unknown as PgPool }, (other) =>
      other.transaction(async (transaction) => {
        attempts += 1
        const [own] = (await transaction.query(ownProcess)).rows
        if (attempts === 1) await database.read(terminate, [own?.['pid'] as number])
        await ended.promise
        await transaction.query(add, ['ada', 1])
      }),
    )
    await pool.end()
    expect([attempts, await balanceOf('ada')]).toEqual([2, 11])
  })

  it('is told when an earlier commit may have landed', async () => {
    for (const lost of ['before', 'after'] as const) {
      const { pool, lose, released } = createLosingPool(server.url)
      const seen: boolean[] = []
      await withDatabase({ pool }, (other) => {
        lose(lost)
        return other.transaction(async (transaction) => {
          seen.push(transaction.mayHaveLanded)
          if (transaction.mayHaveLanded && (await transaction.query(readBalance, [lost])).rows.length > 0) return
          await transaction.query(insert, [lost, 1])
        })
      })
      await pool.end()
      expect(seen).toEqual([false, true])
      // First to look at the server, then the one that was lost: nobody may have it again.
      expect(released).toEqual([false, true, false])
      expect(await balanceOf(lost)).toBe(1)
    }
  })

  it('says so when nobody can know whether it was committed', async () => {
    const { pool, lose } = createLosingPool(server.url)
    const refused = await withDatabase({ pool, retryMs: 0 }, (other) => {
      lose('after')
      return rejectionOf(other.transaction((transaction) => transaction.query(add, ['ada', 1])))
    })
    await pool.end()
    expect(refused).toMatchObject({ code: 'store.unavailable', data: { outcome: 'unknown' } })
    expect(await balanceOf('ada')).toBe(11)
  })

  it('is refused when one of its statements had failed and the body did not mind', async () => {
    const refused = await rejectionOf(
      database.transaction(async (transaction) => {
        await transaction.query(add, ['ada', 1])
        await transaction.query(insert, ['bob', 1]).catch(() => {})
      }),
    )
    expect(refused).toMatchObject({ code: 'store.rejected', data: { sqlState: '25P02' } })
    expect(await balanceOf('ada')).toBe(10)
  })
})

describe('a failure', () => {
  it.each([
    ['a name twice', 'ada', 1, { constraint: 'one_name', table: 'accounts', rule: 'unique', sqlState: '23505' }],
    ['a check', 'eve', -1, { constraint: 'solvent', table: 'accounts', rule: 'check', sqlState: '23514' }],
    ['a null', 'eve', null, { constraint: 'balance', table: 'accounts', rule: 'not_null', sqlState: '23502' }],
  ])('of a constraint names it: %s', async (_, name, balance, data) => {
    expect(await rejectionOf(database.write(insert, [name, balance]))).toMatchObject({ code: 'store.constraint', data })
  })

  it('that no other try mends is rejected at once', async () => {
    expect(await rejectionOf(database.read(sql('SELECT * FROM database_test.nothing')))).toMatchObject({
      code: 'store.rejected',
      data: { sqlState: '42P01' },
    })
    const { database: name } = new pg.Client({ connectionString: server.url })
    const nowhere = server.url.replace(new RegExp(`/${name}$`), '/nowhere')
    expect(await rejectionOf(PostgresDatabase.open({ url: nowhere }))).toMatchObject({
      code: 'store.rejected',
      data: { sqlState: '3D000' },
    })
  })

  it('to reach a server is one of the store', async () => {
    const url = 'postgres://stateward@127.0.0.1:1/postgres'
    expect(await rejectionOf(PostgresDatabase.open({ url, retryMs: 0 }))).toMatchObject({
      code: 'store.unavailable',
      data: { outcome: 'not_applied' },
    })
  })

  it('of a connection that does nothing is told to the logger and felt by nobody', async () => {
    const warned = createDeferred<string>()
    const logger = { debug() {}, info() {}, warn: (_: object, message: string) => warned.resolve(message), error() {} }
    await withDatabase({ maxConnections: 1, logger }, async (other) => {
      const [own] = (await other.read(ownProcess)).rows
      await database.read(terminate, [own?.['pid'] as number])
      expect(await warned.promise).toBe('an idle connection to PostgreSQL was lost')
      expect((await other.read(ownProcess)).rows).not.toEqual([own])
    })
  })
})

describe('the database', () => {
  it('reads whole numbers and truth values as such, and all else as text', async () => {
    const { rows } = await database.read(
      sql(`SELECT 9007199254740991::bigint AS safe, 9007199254740993::bigint AS unsafe, true AS truth, '{"a": 1}'::json AS json,
        NULL::text AS nothing, 1.50::numeric AS decimal`),
    )
    expect(rows).toEqual([
      {
        safe: 9007199254740991,
        unsafe: '9007199254740993',
        truth: true,
        json: '{"a": 1}',
        nothing: null,
        decimal: '1.50',
      },
    ])
  })

  it('tells the time of the server', async () => {
    const now = await database.now()
    expect(Number.isSafeInteger(now)).toBe(true)
    expect(Math.abs(now - Date.now())).toBeLessThan(60_000)
  })

  it('works with statements that are not kept prepared', async () => {
    await withDatabase({ preparedStatements: false }, async (other) => {
      expect((await other.read(readBalance, ['ada'])).rows).toEqual([{ balance: 10 }])
      expect((await other.read(sql('SELECT name FROM pg_prepared_statements'))).rows).toEqual([])
    })
  })

  it('is unavailable while its server only reads: another one takes over', async () => {
    await withDatabase({ retryMs: 0 }, async (other) => {
      const refused = await rejectionOf(
        other.transaction(async (transaction) => {
          await transaction.script('SET TRANSACTION READ ONLY')
          await transaction.query(add, ['ada', 1])
        }),
      )
      expect(refused).toMatchObject({ code: 'store.unavailable', data: { outcome: 'not_applied', sqlState: '25006' } })
    })
  })

  it('is closed when what is under way is over, also what waits for a connection still', async () => {
    const other = await PostgresDatabase.open({ url: server.url, maxConnections: 1, connectTimeoutMs: 0 })
    const asked = [other.now(), other.now(), other.now()]
    const closed = other.close()
    expect(await Promise.all(asked)).toHaveLength(3)
    await closed
  })

  it('is over once it is closed, but ends only a pool of its own', async () => {
    const pool = new pg.Pool({ connectionString: server.url }) as unknown as PgPool
    const other = await PostgresDatabase.open({ pool })
    await other.close()
    expect(await rejectionOf(other.now())).toMatchObject({ code: 'store.closed' })
    const client = await pool.connect()
    expect((await client.query({ text: 'SELECT 1 AS one' })).rows).toEqual([{ one: 1 }])
    client.release()
    await pool.end()
  })

  it.each([
    [{}, '$'],
    [{ url: 'postgres://one', pool: {} }, 'pool'],
    [{ url: '' }, 'url'],
    [{ url: 'postgres://one', maxAttempts: 0 }, 'maxAttempts'],
    [{ url: 'postgres://one', ssl: true }, 'ssl'],
  ])('refuses options that do not fit: %j', async (options, field) => {
    expect(await rejectionOf(PostgresDatabase.open(options as PostgresOptions))).toMatchObject({
      code: 'invalid_input',
      data: { field },
    })
  })
})
