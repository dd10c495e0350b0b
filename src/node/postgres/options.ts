import * as v from 'valibot'
import { durationSchema, nameSchema, optionsSchema } from '../../base/options.js'
import { PostgresDatabase } from '../../postgres/index.js'

/** How a cluster is kept on PostgreSQL. */
export interface PostgresClusterOptions {
  /** Stays its owner's: close it when every node has ended. */
  readonly database: PostgresDatabase
  /** The schema its tables are in; `stateward` by default. Nodes that share it are one cluster. */
  readonly schema?: string
  /** Makes the tables if they are not there; true by default. */
  readonly createTables?: boolean
  /** A member that was heard of so lately, in milliseconds, may be given copies of chains, and its share of daemons; 5,000 by default. */
  readonly healthyForMs?: number
  /**
   * Tells the other nodes at once of what is wished, asked for and given up, by NOTIFY in its transaction, and hears them over a
   * connection of its own; false by default. Without it they learn of it with their next heartbeat.
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
