import * as v from 'valibot'
import type { IdSource } from '../../base/ids.js'
import type { Logger } from '../../base/logger.js'
import { functionSchema, nameSchema, optionsSchema } from '../../base/options.js'
import { idSourceSchema, loggerSchema } from '../../base/ports.js'
import { PostgresDatabase } from '../../postgres/index.js'
import type { LivenessCheck } from '../lease.js'

/** Options of the PostgreSQL process store. */
export interface PostgresStoreOptions {
  /** The database. It belongs to the caller and is not closed with the store. */
  readonly database: PostgresDatabase
  /** The schema that holds the tables. Default `stateward`. */
  readonly schema?: string
  /** Creates missing tables. Default true. Existing tables are checked in any case. */
  readonly createTables?: boolean
  /**
   * Notifies other hosts of every change immediately, with NOTIFY in its transaction. Default false. Commits that
   * notify wait for each other across the whole database, so this trades throughput for shorter waits.
   */
  readonly notify?: boolean
  /** Whether the holder of a lease is known to be dead. By default, no holder ever is. */
  readonly isHolderDead?: LivenessCheck
  /** Generates lease tokens. Default: random. */
  readonly ids?: IdSource
  /** Logs requests that are ignored. */
  readonly logger?: Logger
}

/** Accepts {@link PostgresStoreOptions}. */
export const postgresStoreOptionsSchema = optionsSchema<PostgresStoreOptions>({
  database: v.custom<PostgresDatabase>((input) => input instanceof PostgresDatabase, 'not an open PostgresDatabase'),
  schema: v.optional(nameSchema),
  createTables: v.optional(v.boolean('not a truth value')),
  notify: v.optional(v.boolean('not a truth value')),
  isHolderDead: v.optional(functionSchema<LivenessCheck>()),
  ids: v.optional(idSourceSchema),
  logger: v.optional(loggerSchema),
})
