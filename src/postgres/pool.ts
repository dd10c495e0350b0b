import { StatewardError } from '../base/errors.js'
import type { PgPool } from './client.js'
import type { PostgresOptions } from './options.js'

/** The part of the module `pg` that is used. */
interface PgModule {
  readonly default: { readonly Pool: new (config: object) => PgPool }
}

/** Creates our own pool. Throws `optional_package_missing` if `pg` is not installed. */
export async function createPool(url: string, options: PostgresOptions): Promise<PgPool> {
  const { default: pg } = await loadPg()
  return new pg.Pool({
    connectionString: url,
    application_name: 'stateward',
    max: options.maxConnections ?? 10,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5000,
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    // The server's own limit acts first. This one is for a network that no longer answers.
    query_timeout: (options.statementTimeoutMs ?? 30_000) + 5000,
    idle_in_transaction_session_timeout: options.idleTransactionTimeoutMs ?? 10_000,
    keepAlive: true,
    // Statements issued together are sent together. Versions without this option send them one by one.
    pipeline: true,
    // An idle pool does not keep the process alive.
    allowExitOnIdle: true,
  })
}

async function loadPg(): Promise<PgModule> {
  try {
    // The package is an optional peer dependency: users without it must not need its types.
    const name: string = 'pg'
    return (await import(name)) as PgModule
  } catch (cause) {
    throw new StatewardError(
      'optional_package_missing',
      'the PostgreSQL store needs the package pg: npm install pg',
      { package: 'pg' },
      { cause },
    )
  }
}
