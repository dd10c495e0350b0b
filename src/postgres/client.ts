import { createHash } from 'node:crypto'
import type * as v from 'valibot'
import { portSchema } from '../base/options.js'

/** The value of a parameter. */
export type SqlValue = string | number | boolean | null | readonly (string | number | null)[]

/** A row as the client returns it. The reader must check it. */
export type SqlRow = Readonly<Record<string, unknown>>

/** The result of a statement. */
export interface SqlResult {
  readonly rows: readonly SqlRow[]
  /** Number of rows read or written. */
  readonly rowCount: number
}

/** A statement and the name under which connections prepare it. Values are passed as parameters only. */
export interface SqlStatement {
  readonly name: string
  readonly text: string
}

/** Creates a statement of fixed text. `$1` to `$n` are its parameters. */
export function sql(text: string): SqlStatement {
  const name = `stateward_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
  return { name, text }
}

/** Runs statements: a transaction, or the database for one statement at a time. */
export interface SqlRunner {
  /** Runs a statement. Throws a {@link StoreError}. */
  query(statement: SqlStatement, values?: readonly SqlValue[]): Promise<SqlResult>
}

/** The part of a client of `pg` that is used. */
export interface PgClient {
  query(query: PgQuery): Promise<PgResult>
  release(destroy?: boolean): void
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'end', listener: () => void): unknown
  on(event: 'notification', listener: (message: PgNotification) => void): unknown
  removeListener(event: string, listener: (...values: never[]) => void): unknown
}

/** The part of a pool of `pg` that is used. Any `Pool` of `pg` 8 fits. */
export interface PgPool {
  connect(): Promise<PgClient>
  end(): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'acquire', listener: (client: PgClient) => void): unknown
  removeListener(event: string, listener: (...values: never[]) => void): unknown
}

export interface PgQuery {
  readonly text: string
  readonly name?: string
  readonly values?: unknown[]
  readonly types?: { getTypeParser(oid: number, format?: string): (text: string) => unknown }
}

export interface PgResult {
  readonly rows: readonly unknown[]
  readonly rowCount: number | null
  readonly command: string
}

export interface PgNotification {
  readonly channel: string
  readonly payload?: string | undefined
}

/** Accepts a pool of `pg`. */
export const poolSchema: v.GenericSchema<unknown, PgPool> = portSchema<PgPool>([
  'connect',
  'end',
  'on',
  'removeListener',
])

const asText = (text: string): string => text
const parsers = new Map<number, (text: string) => unknown>([
  [16, (text) => text === 't'], // boolean
  [20, parseWhole], // bigint
  [21, parseWhole], // smallint
  [23, parseWhole], // integer
])

/**
 * Parses the server's values the same way, whatever type parsers the program has set for its own queries: whole
 * numbers as numbers, booleans as booleans, everything else as text. An unsafe integer stays text, which the check of
 * the row then refuses.
 */
export const valueTypes: NonNullable<PgQuery['types']> = { getTypeParser: (oid) => parsers.get(oid) ?? asText }

function parseWhole(text: string): unknown {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : text
}
