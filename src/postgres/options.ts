import * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { durationSchema, functionSchema, nameSchema, optionsSchema, wholeNumberSchema } from '../base/options.js'
import { clockSchema, loggerSchema } from '../base/ports.js'
import { poolSchema, type PgPool } from './client.js'

/** How to reach the server, and how to use it. Exactly one of `url` and `pool` is given. */
export interface PostgresOptions {
  /**
   * Address of the server, `postgres://user:password@host:port/database`. The store creates a pool and ends it on
   * `close()`. Needs `pg`.
   */
  readonly url?: string
  /** A pool of `pg` that you own: `close()` does not end it. */
  readonly pool?: PgPool
  /** Maximum number of connections of our own pool. Default 10. */
  readonly maxConnections?: number
  /** Milliseconds that our own pool waits for a connection. Default 5,000. */
  readonly connectTimeoutMs?: number
  /** Milliseconds after which our own pool gives up a statement. Default 30,000. */
  readonly statementTimeoutMs?: number
  /**
   * Milliseconds after which the server ends an idle transaction of our own pool, so that a frozen host holds no
   * locks. Default 10,000.
   */
  readonly idleTransactionTimeoutMs?: number
  /** How often a transaction is tried if it conflicts with others. Default 8. */
  readonly maxAttempts?: number
  /** Milliseconds for which work is tried again while the server cannot be reached. Default 5,000; 0 tries once. */
  readonly retryMs?: number
  /**
   * Whether connections prepare statements. Default true. Set it to false behind a pooler that uses a different
   * connection for each transaction and does not support prepared statements.
   */
  readonly preparedStatements?: boolean
  /** The clock for pauses between attempts. Default the system clock. */
  readonly clock?: Clock
  /** A random number from 0 to 1, for the jitter of those pauses. Default `Math.random`. */
  readonly random?: () => number
  /** Receives a line about connections that are lost while idle. */
  readonly logger?: Logger
}

/** Accepts {@link PostgresOptions}. */
export const postgresOptionsSchema = v.pipe(
  optionsSchema<PostgresOptions>({
    url: v.optional(nameSchema),
    pool: v.optional(poolSchema),
    maxConnections: v.optional(wholeNumberSchema(1, 10_000)),
    connectTimeoutMs: v.optional(durationSchema),
    statementTimeoutMs: v.optional(durationSchema),
    idleTransactionTimeoutMs: v.optional(durationSchema),
    maxAttempts: v.optional(wholeNumberSchema(1, 1000)),
    retryMs: v.optional(durationSchema),
    preparedStatements: v.optional(v.boolean('not a truth value')),
    clock: v.optional(clockSchema),
    random: v.optional(functionSchema<() => number>()),
    logger: v.optional(loggerSchema),
  }),
  v.check(({ url, pool }) => (url === undefined) !== (pool === undefined), 'needs one of url and pool'),
)
