import * as v from 'valibot'
import type { IdSource } from '../../base/ids.js'
import type { Logger } from '../../base/logger.js'
import { functionSchema, nameSchema, optionsSchema } from '../../base/options.js'
import { idSourceSchema, loggerSchema } from '../../base/ports.js'
import { PostgresDatabase } from '../../postgres/index.js'
import type { LivenessCheck } from '../lease.js'

/** How processes are kept on PostgreSQL. */
export interface PostgresStoreOptions {
  /** Where; it stays its owner's and is not closed with the store. */
  readonly database: PostgresDatabase
  /** The schema that the tables are in; `stateward` by default. */
  readonly schema?: string
  /** Makes the tables when they are not there; true by default. They are looked at in any case. */
  readonly createTables?: boolean
  /**
   * Tells other hosts at once of every change, by NOTIFY in its transaction; false by default. Commits that notify wait for
   * each other, all over the database: it buys short waits with throughput.
   */
  readonly notify?: boolean
  /** What is known of the holders of leases; by default nobody is ever taken for dead. */
  readonly isHolderDead?: LivenessCheck
  /** For the tokens of leases; random by default. */
  readonly ids?: IdSource
  /** Is told of requests that are ignored. */
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
