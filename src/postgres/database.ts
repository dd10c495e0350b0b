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

/** The oldest supported server version, in its own numbering: transaction ids of 64 bits came with 13. */
const oldestServer = 130_000

/**
 * Connections to one PostgreSQL database: statements with parameters, and transactions that are tried again after
 * conflicts.
 *
 * Every failure is a {@link StoreError} whose code says what kind it is. What the body of a transaction throws is
 * passed on unchanged, after the transaction has been rolled back.
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
  readonly #over = new AbortController()
  /** Number of calls in progress, including those waiting for a connection, and the promise of their end. */
  #underWay = 0
  #idle: Deferred<void> | undefined

  /** The clock for pauses between attempts. The server's clock is never used for them. */
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
    this.#onIdleError = ({ message }) => logger.warn({ cause: message }, 'an idle connection to PostgreSQL was lost')
    pool.on('error', this.#onIdleError)
    // Not only once the client is ours: a server that is shutting down may send an error right after accepting the
    // connection.
    pool.on('acquire', guardClient)
  }

  /**
   * Connects and checks the server. Throws `invalid_input` for wrong options, `optional_package_missing` without
   * `pg`, `store.unavailable` if the server cannot be reached, and `store.rejected` if it refuses the login, is older
   * than PostgreSQL 13, or does not store text as UTF-8.
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

  /** Runs one statement that reads. It is tried again if the connection was lost. */
  read(statement: SqlStatement, values: readonly SqlValue[] = []): Promise<SqlResult> {
    return this.#retried((connection) => connection.query(statement, values))
  }

  /**
   * Runs one statement that writes, in its own transaction. It is tried again if the connection was lost, so it may
   * be executed twice: use it only for statements that change nothing the second time.
   */
  write(statement: SqlStatement, values: readonly SqlValue[] = []): Promise<SqlResult> {
    return this.#retried((connection, attempt) => {
      attempt.isCommitting = true
      return connection.query(statement, values)
    })
  }

  /**
   * Runs `body` in one transaction (read committed): all of it takes effect, or nothing. It is run again, after a
   * pause, if it conflicted with other transactions (deadlock, serialization failure) or the connection was lost. So
   * it must do nothing but talk to the database, and must heed `mayHaveLanded`.
   *
   * Throws what `body` throws, and `store.conflict` or `store.unavailable` when the attempts are used up.
   */
  transaction<Result>(body: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return this.#retried(async (connection, attempt) => {
      // Sent before the body's first statement and not awaited: this saves a round trip.
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
      // A failure of one of these says more than the fact that nothing was committed.
      for (const answer of answers) if (answer.status === 'rejected') throw answer.reason
      // The server answers ROLLBACK if a statement failed and the body ignored it.
      if (command === 'COMMIT') return result
      throw new StoreError('store.rejected', { cause: 'a statement of the transaction had failed', sqlState: '25P02' })
    })
  }

  /** The current time of the server, in epoch milliseconds. */
  async now(): Promise<number> {
    const { rows } = await this.read(clockReading)
    return rows[0]?.['now_ms'] as number
  }

  /** Aborts when the database begins to close, for those who hold a connection for a long time. */
  get closing(): AbortSignal {
    return this.#over.signal
  }

  /** Takes a connection out of the pool for a long time. The caller must release it. Throws a {@link StoreError}. */
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

  /** Refuses new calls and, if the pool is ours, ends it once the calls in progress are done. */
  close(): Promise<void> {
    this.#closing ??= this.#end()
    this.#over.abort()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #end(): Promise<void> {
    // A pool that is ended drops the callers that wait for a connection.
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
        // Only a lost connection leaves the result of a commit open: any other failure is an answer.
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
  /** True if the next statement sent may be committed even if its answer is lost. */
  isCommitting: boolean
}

/** Makes sure that no transaction stays open. */
async function rollBack(connection: Connection): Promise<void> {
  try {
    await connection.command('ROLLBACK')
  } catch {
    // The caller needs the error that caused the rollback. The server rolls back when the connection is closed.
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
