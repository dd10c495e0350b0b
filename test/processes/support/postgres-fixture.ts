import { PostgresDatabase, sql } from '../../../src/postgres/index.js'
import { PostgresProcessStore } from '../../../src/processes/postgres/public.js'
import type { ProcessStoreFixture } from '../../../src/testing/processes/fixture.js'
import { usePostgres } from '../../support/postgres-server.js'

const schema = 'conformance'
const clockSchema = 'conformance_clock'
const startMs = Date.UTC(2026, 0, 1)

/** The functions by which PostgreSQL tells the time, for those who look here first. */
const clockFunctions = ['clock_timestamp', 'statement_timestamp'].map(
  (name) => `CREATE FUNCTION ${clockSchema}.${name}() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.to_timestamp(at_ms / 1000.0) FROM ${clockSchema}.now';`,
)

const setClock = sql(`UPDATE ${clockSchema}.now SET at_ms = $1`)
const advanceClock = sql(`UPDATE ${clockSchema}.now SET at_ms = at_ms + $1`)
const leaveBehind = sql(`
  UPDATE ${schema}.processes SET status = 'running', outcome = NULL, workable_from_ms = 0 WHERE process_id = $1`)

/** A real server, whose clock stands still but for what a test lets pass, and stores on it one after the other. */
export class PostgresFixtures implements AsyncDisposable {
  readonly #server: Awaited<ReturnType<typeof usePostgres>>
  readonly #database: PostgresDatabase

  private constructor(server: Awaited<ReturnType<typeof usePostgres>>, database: PostgresDatabase) {
    this.#server = server
    this.#database = database
  }

  static async start(): Promise<PostgresFixtures> {
    const server = await usePostgres()
    const database = await PostgresDatabase.open({ url: server.url })
    await database.transaction((transaction) =>
      transaction.script(`DROP SCHEMA IF EXISTS ${schema} CASCADE; DROP SCHEMA IF EXISTS ${clockSchema} CASCADE;
        CREATE SCHEMA ${clockSchema}; CREATE TABLE ${clockSchema}.now (at_ms bigint);
        INSERT INTO ${clockSchema}.now VALUES (0); ${clockFunctions.join(' ')}`),
    )
    return new PostgresFixtures(server, database)
  }

  /** A store without any processes; its clock says the first of January 2026. */
  async create(): Promise<ProcessStoreFixture> {
    const dead = new Set<string>()
    let database = await this.#connect()
    const open = (): Promise<PostgresProcessStore> =>
      PostgresProcessStore.open({ database, schema, isHolderDead: ({ leaseToken }) => dead.has(leaseToken) })
    const store = await open()
    await this.#database.write(setClock, [startMs])
    await this.#database.write(sql(`DELETE FROM ${schema}.processes`))
    await this.#database.write(sql(`DELETE FROM ${schema}.process_tombstones`))
    return {
      store,
      advance: async (milliseconds) => {
        await this.#database.write(advanceClock, [milliseconds])
      },
      declareDead: ({ leaseToken }) => void dead.add(leaseToken),
      reopen: async () => {
        await database.close()
        database = await this.#connect()
        return open()
      },
      leaveBehind: async (processId) => {
        await this.#database.write(leaveBehind, [processId])
      },
      dispose: () => database.close(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#database.close()
    await this.#server[Symbol.asyncDispose]()
  }

  /** Functions of the clock are found before those of PostgreSQL, whose schema is searched first unless it is named. */
  #connect(): Promise<PostgresDatabase> {
    const url = new URL(this.#server.url)
    url.searchParams.set('options', `-c search_path=${clockSchema},pg_catalog`)
    return PostgresDatabase.open({ url: url.href })
  }
}
