import * as v from 'valibot'
import { durationSchema, nameSchema, optionsSchema } from '../../base/options.js'
import { PostgresDatabase } from '../../postgres/index.js'

/** Options of a cluster on PostgreSQL. */
export interface PostgresClusterOptions {
  /** The database. It is not closed with the cluster: close it when every node has ended. */
  readonly database: PostgresDatabase
  /** The schema of its tables. Nodes that share it form one cluster. Default `stateward`. */
  readonly schema?: string
  /** Creates missing tables. Default true. */
  readonly createTables?: boolean
  /**
   * Only members heard of within this many milliseconds are given copies of chains and a share of the daemons. Default
   * 5,000.
   */
  readonly healthyForMs?: number
  /**
   * Notifies the other nodes at once when something is wanted, requested or given up, with NOTIFY in the same
   * transaction, and listens on a connection of its own. Without it they learn of changes with their next heartbeat.
   * Default false.
   */
  readonly notify?: boolean
}

/** Accepts {@link PostgresClusterOptions}. */
export const postgresClusterOptionsSchema = optionsSchema<PostgresClusterOptions>({
  database: v.custom<PostgresDatabase>((input) => input instanceof PostgresDatabase, 'not an open PostgresDatabase'),
  schema: v.optional(nameSchema),
  createTables: v.optional(v.boolean('not a truth value')),
  healthyForMs: v.optional(durationSchema),
  notify: v.optional(v.boolean('not a truth value')),
})
