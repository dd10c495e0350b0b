import * as v from 'valibot'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { durationSchema, functionSchema, nameSchema, optionsSchema, wholeNumberSchema } from '../base/options.js'
import { clockSchema, loggerSchema } from '../base/ports.js'
import { poolSchema, type PgPool } from './client.js'

/** How to reach the server, and how to deal with it. One of `url` and `pool` is given. */
export interface PostgresOptions {
  /** Where the server is, `postgres://user:password@host:port/database`; the pool is ours and ends with us. Needs `pg`. */
  readonly url?: string
  /** A pool of `pg` that stays its owner's: it is not ended by `close()`. */
  readonly pool?: PgPool
  /** Connections of our own pool; 10 by default. */
  readonly maxConnections?: number
  /** Milliseconds that our own pool waits for a connection; 5,000 by default. */
  readonly connectTimeoutMs?: number
  /** Milliseconds after which our own pool gives up a statement; 30,000 by default. */
  readonly statementTimeoutMs?: number
  /**
   * Milliseconds after which the server ends a transaction of our own pool that does nothing, so that a host that is
   * frozen holds no lock; 10,000 by default.
   */
  readonly idleTransactionTimeoutMs?: number
  /** How often a transaction is tried when others are in its way; 8 by default. */
  readonly maxAttempts?: number
  /** Milliseconds for which work is tried again when the server cannot be reached; 5,000 by default, 0 for once. */
  readonly retryMs?: number
  /**
   * Whether connections keep statements prepared; true by default. A pooler that hands out another connection for each
   * transaction and does not know prepared statements needs false.
   */
  readonly preparedStatements?: boolean
  /** For pauses between attempts; the process's by default. */
  readonly clock?: Clock
  /** From 0 to 1, for the spread of those pauses; `Math.random` by default. */
  readonly random?: () => number
  /** Is told of connections that are lost while idle. */
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
