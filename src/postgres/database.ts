import { createDeferred, silence, type Deferred } from '../base/promises.js'
import { systemClock, type Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { StatewardError } from '../base/errors.js'
import { silentLogger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import { sql, type PgClient, type PgPool, type SqlResult, type SqlStatement, type SqlValue } from './client.js'
import { StoreError } from './errors.js'
import { postgresOptionsSchema, type PostgresOptions } from './options.js'
import { createPool } from './pool.js'
import { pause, pauseAfter } from './retry.js'
import { storeErrorOf } from './sql-state.js'
import { Connection, guardClient, type Transaction } from './transaction.js'

const clockReading = sql(`SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms`)
const facts = sql(
  `SELECT current_setting('server_version_num')::integer AS version, current_setting('server_encoding') AS encoding`,
)

/** The oldest server that has all we use, as it numbers itself: transaction ids of 64 bits came with 13. */
const oldestServer = 130_000

/**
 * Connections to one PostgreSQL database: statements with parameters, and transactions that are tried again when others
 * were in their way.
 *
 * Every failure is a {@link StoreError} that says of which kind it is. What the body of a transaction throws comes out as
 * it is, after the transaction was rolled back.
 */
export class PostgresDatabase implements AsyncDisposable {
  readonly #pool: PgPool
  readonly #isOurs: boolean
  readonly #isPrepared: boolean
  readonly #maxAttempts: number
  readonly #retryMs: number
  readonly #random: () => number
  readonly #onIdleError: (error: Error) => void
  #closing: Promise<void> | undefined
  /** Calls under way, those that wait for a connection included, and who waits for their end. */
  #underWay = 0
  #idle: Deferred<void> | undefined

  /** The clock by which it pauses; never that of the server. */
  readonly clock: Clock

  private constructor(pool: PgPool, options: PostgresOptions) {
    this.#pool = pool
    this.#isOurs = options.pool === undefined
    this.#isPrepared = options.preparedStatements ?? true
    this.#maxAttempts = options.maxAttempts ?? 8
    this.#retryMs = options.retryMs ?? 5000
    this.#random = options.random ?? Math.random
    this.clock = options.clock ?? systemClock
    const logger = guardedLogger(options.logger ?? silentLogger)
    this.#onIdleError = ({ message }) => logger.warn({ cause: message }, 'lost an idle connection to the store')
    pool.on('error', this.#onIdleError)
    // Not only once we have it: a server that ends may say so right behind the word that it lets us in.
    pool.on('acquire', guardClient)
  }

  /**
   * Connects and looks at the server. Raises `invalid_input` for options that do not fit, `optional_package_missing`
   * without `pg`, `store.unavailable` when the server cannot be reached, `store.rejected` when it lets nobody in or is
   * older than PostgreSQL 13 or keeps text otherwise than as UTF-8.
   */
  static async open(options: PostgresOptions): Promise<PostgresDatabase> {
    decode(postgresOptionsSchema, options, 'options of the PostgreSQL database')
    const pool = options.pool ?? (await createPool(options.url ?? '', options))
    const database = new PostgresDatabase(pool, options)
    try {
      await database.#checkServer()
      return database
    } catch (cause) {
      await database.close()
      throw cause
    }
  }

  /** Runs one statement that reads. It is tried again when the connection was lost. */
  read(statement: SqlStatement, values: readonly SqlValue[] = []): Promise<SqlResult> {
    return this.#retried((connection) => connection.query(statement, values))
  }

  /**
   * Runs one statement that writes, in a transaction of its own. It is tried again when the connection was lost, so that it
   * may be done twice: only for what changes nothing the second time.
   */
  write(statement: SqlStatement, values: readonly SqlValue[] = []): Promise<SqlResult> {
    return this.#retried((connection, attempt) => {
      attempt.isCommitting = true
      return connection.query(statement, values)
    })
  }

  /**
   * Runs `body` in one transaction (read committed): all of it is done, or nothing. It is run again, with a pause, when
   * other transactions were in its way (deadlock, serialization failure) or the connection was lost; so it must do nothing
   * but speak to the database, and heed `mayHaveLanded`.
   *
   * Raises what `body` throws; `store.conflict` or `store.unavailable` when attempts are used up.
   */
  transaction<Result>(body: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#retried(async (connection, attempt) => {
      // Sent ahead of what the body asks, and before what it has sent is answered: a round trip less on either side.
      const begun = silence(connection.command('BEGIN'))
      const sent: Promise<unknown>[] = []
      let result: Result
      try {
        result = await body({
          mayHaveLanded: attempt.mayHaveLanded,
          query: (statement, values) => connection.query(statement, values),
          send: (statement, values) => void sent.push(silence(connection.query(statement, values))),
          script: async (text) => {
            await connection.command(text)
          },
        })
        await begun
      } catch (cause) {
        await rollBack(connection)
        throw cause
      }
      attempt.isCommitting = true
      const committed = silence(connection.command('COMMIT'))
      const answers = await Promise.allSettled(sent)
      const command = await committed
      // What went wrong with one of these says more than that nothing was committed.
      for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
      // The server answers ROLLBACK when a statement had failed and the body did not mind.
      if (command === 'COMMIT') return result
      throw new StoreError('store.rejected', { cause: 'a statement of the transaction had failed', sqlState: '25P02' })
    })
  }

  /** The clock of the server now, in epoch milliseconds. */
  async now(): Promise<number> {
    const { rows } = await this.read(clockReading)
    return rows[0]?.['now_ms'] as number
  }

  /** Takes a connection out of the pool for long; who takes it releases it. Raises a {@link StoreError}. */
  async connect(): Promise<PgClient> {
    if (this.#closing !== undefined) throw new StoreError('store.closed', {})
    try {
      const client = await this.#pool.connect()
      guardClient(client)
      return client
    } catch (thrown) {
      throw storeErrorOf(thrown)
    }
  }

  /** Refuses new work and, if the pool is ours, ends it when what is under way is over. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    // A pool that is ended forgets those who wait for a connection.
    if (this.#underWay > 0) await (this.#idle = createDeferred<void>()).promise
    if (this.#isOurs) await this.#pool.end()
    else {
      this.#pool.removeListener('error', this.#onIdleError)
      this.#pool.removeListener('acquire', guardClient)
    }
  }

  async #checkServer(): Promise<void> {
    const [row] = (await this.read(facts)).rows
    const { version, encoding } = row as { readonly version: number; readonly encoding: string }
    if (version < oldestServer) {
      throw new StoreError('store.rejected', {
        cause: `PostgreSQL 13 or newer is needed, not ${version}`,
        sqlState: '0A000',
      })
    }
    if (encoding !== 'UTF8') {
      throw new StoreError('store.rejected', { cause: `the database must be UTF8, not ${encoding}`, sqlState: '0A000' })
    }
  }

  async #retried<Result>(run: (connection: Connection, attempt: Attempt) => Promise<Result>): Promise<Result> {
    this.#underWay += 1
    try {
      return await this.#tried(run)
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) this.#idle?.resolve()
    }
  }

  async #tried<Result>(run: (connection: Connection, attempt: Attempt) => Promise<Result>): Promise<Result> {
    let mayHaveLanded = false
    const start = this.clock.monotonicNow()
    for (let number = 1; ; number += 1) {
      const attempt: Attempt = { mayHaveLanded, isCommitting: false }
      try {
        return await this.#withConnection((connection) => run(connection, attempt))
      } catch (cause) {
        // Only a lost connection leaves open what became of a commit: any other failure is an answer.
        mayHaveLanded ||= attempt.isCommitting && StatewardError.is(cause, 'store.unavailable')
        const isTooLate = StatewardError.is(cause, 'store.conflict')
          ? number >= this.#maxAttempts
          : this.clock.monotonicNow() - start >= this.#retryMs
        if (!isPassing(cause) || isTooLate || this.#closing !== undefined) {
          throw finalError(cause, { attempts: number, mayHaveLanded })
        }
      }
      await pause(this.clock, pauseAfter(number, this.#random))
    }
  }

  async #withConnection<Result>(run: (connection: Connection) => Promise<Result>): Promise<Result> {
    const connection = new Connection(await this.connect(), { isPrepared: this.#isPrepared })
    try {
      return await run(connection)
    } catch (cause) {
      if (StatewardError.is(cause, 'store.unavailable')) connection.spoil()
      throw cause
    } finally {
      connection.release()
    }
  }
}

interface Attempt {
  readonly mayHaveLanded: boolean
  /** Set when what is sent next may be committed even if its answer is lost. */
  isCommitting: boolean
}

/** Leaves no transaction open behind, whatever it takes. */
async function rollBack(connection: Connection): Promise<void> {
  try {
    await connection.command('ROLLBACK')
  } catch {
    // What it was rolled back for is what the caller has to know; the server rolls back what it loses sight of.
    connection.spoil()
  }
}

function isPassing(cause: unknown): boolean {
  return StatewardError.is(cause, 'store.conflict') || StatewardError.is(cause, 'store.unavailable')
}

function finalError(cause: unknown, end: { readonly attempts: number; readonly mayHaveLanded: boolean }): unknown {
  if (!(cause instanceof StatewardError)) return cause
  if (StatewardError.is(cause, 'store.conflict') && !end.mayHaveLanded) {
    const data = { ...(cause.data as StoreError<'store.conflict'>['data']), attempts: end.attempts }
    return new StoreError('store.conflict', data, { cause: cause.cause })
  }
  if (end.mayHaveLanded && isPassing(cause)) {
    return new StoreError(
      'store.unavailable',
      { store: 'postgres', reason: cause.message, outcome: 'unknown' },
      { cause: cause.cause },
    )
  }
  return cause
}
