import { InvalidInputError } from '../base/errors.js'
import { textOf } from '../base/options.js'
import { sql } from './client.js'
import type { PostgresDatabase } from './database.js'
import { StoreError } from './errors.js'
import type { Transaction } from './transaction.js'

/** A column, as the server's catalogue describes it. */
export interface ColumnDefinition {
  /** The type as `format_type` writes it: `text`, `bigint`, `boolean`, `xid8`. */
  readonly type: string
  /** `C` for text that is ordered byte by byte. */
  readonly collation?: 'C'
  /** Whether the column may be null. Default false. */
  readonly isNullable?: boolean
}

/** A table, as the server's catalogue describes it. `{schema}` stands for the schema where another table is named. */
export interface TableDefinition {
  readonly columns: Readonly<Record<string, ColumnDefinition>>
  /** By name, as `pg_get_constraintdef` writes them. */
  readonly constraints: Readonly<Record<string, string>>
  /** By name, the text that `pg_get_indexdef` writes after the table: `USING btree (status) WHERE (...)`. */
  readonly indexes?: Readonly<Record<string, IndexDefinition>>
}

/** An index, as the server's catalogue describes it. */
export interface IndexDefinition {
  readonly isUnique?: boolean
  readonly definition: string
}

/** The tables of one part of the program. */
export interface SchemaDefinition {
  /** Name of the part, for instance `processes`. */
  readonly part: string
  /** Raised whenever the tables change. A database with another version is refused. */
  readonly version: number
  readonly tables: Readonly<Record<string, TableDefinition>>
}

/** Options of opening a schema. */
export interface SchemaOptions {
  /** The schema that contains the tables. Default `stateward`. */
  readonly schema: string
  /** Whether to create the tables if they are missing. Otherwise {@link schemaScript} must have been run before. */
  readonly create: boolean
}

/** Tables that have been checked. */
export interface OpenedSchema {
  /** Identifies these tables for as long as they exist. */
  readonly storeId: string
}

/** Throws `invalid_input` unless the value is a schema name: lower-case letters, digits and underscores, at most 40. */
export function checkSchemaName(schema: unknown): asserts schema is string {
  if (typeof schema === 'string' && /^[a-z_][a-z0-9_]{0,39}$/.test(schema) && !schema.startsWith('pg_')) return
  const reason = `not a name of lower-case letters, digits and underscores, at most 40: ${textOf(schema)}`
  throw new InvalidInputError({ subject: 'name of a schema', field: '$', reason })
}

/** The statements that create the tables, for those who run them by hand. May be run repeatedly. */
export function schemaScript(definition: SchemaDefinition, schema: string): string {
  checkSchemaName(schema)
  const lines = [
    `CREATE SCHEMA IF NOT EXISTS "${schema}";`,
    `CREATE TABLE IF NOT EXISTS "${schema}".versions (part text PRIMARY KEY, version integer NOT NULL, store_id uuid NOT NULL);`,
  ]
  const constraints: string[] = []
  for (const [name, table] of Object.entries(definition.tables)) {
    const columns = Object.entries(table.columns).map(([column, { type, collation, isNullable = false }]) => {
      const collate = collation === undefined ? '' : ` COLLATE "${collation}"`
      return `  ${column} ${type}${collate}${isNullable ? '' : ' NOT NULL'}`
    })
    // Constraints are part of the table definition, so that running the script again does not touch them.
    const inner = Object.entries(table.constraints).map(([constraint, text]) => `  CONSTRAINT ${constraint} ${text}`)
    lines.push(`CREATE TABLE IF NOT EXISTS "${schema}".${name} (\n${[...columns, ...inner].join(',\n')}\n);`)
    for (const [index, { isUnique = false, definition: text }] of Object.entries(table.indexes ?? {})) {
      const kind = isUnique ? 'UNIQUE INDEX' : 'INDEX'
      constraints.push(`CREATE ${kind} IF NOT EXISTS ${index} ON "${schema}".${name} ${text};`)
    }
  }
  const { part, version } = definition
  const version$ = `INSERT INTO "${schema}".versions VALUES ('${part}', ${version}, gen_random_uuid()) ON CONFLICT DO NOTHING;`
  return [...lines, ...constraints, version$, ''].join('\n').replaceAll('{schema}', `"${schema}"`)
}

/**
 * Creates the tables of a part, if asked to and missing, and compares the existing tables with the definition: every
 * column with type, collation and nullability, every constraint and every index. Several programs may do so at the
 * same time.
 *
 * Throws `store.schema_mismatch` with all differences, also for another version. Existing tables are never changed.
 */
export async function openSchema(
  database: PostgresDatabase,
  definition: SchemaDefinition,
  { schema, create }: SchemaOptions,
): Promise<OpenedSchema> {
  checkSchemaName(schema)
  if (create) await createTables(database, definition, schema)
  let storeId = ''
  const differences = await database.transaction(async (transaction) => {
    const found = await readVersion(transaction, definition, schema)
    if (found === undefined) return ['they are not there']
    const { version } = found
    storeId = found.storeId
    if (version !== definition.version)
      return [`they have version ${version}, this program needs ${definition.version}`]
    return differencesOf(transaction, definition, schema)
  })
  if (differences.length > 0) {
    throw new StoreError('store.schema_mismatch', { schema, part: definition.part, differences })
  }
  return { storeId }
}

async function createTables(database: PostgresDatabase, definition: SchemaDefinition, schema: string): Promise<void> {
  const isThere = (transaction: Transaction): Promise<boolean> =>
    readVersion(transaction, definition, schema).then((version) => version !== undefined)
  if (await database.transaction(isThere)) return
  await database.transaction(async (transaction) => {
    // One at a time: concurrent creations of the same table conflict. This must be the first statement of the
    // transaction, because a connection that has read the catalogue before may keep using what it saw.
    await transaction.query(lock, [`stateward:${schema}`])
    if (!(await isThere(transaction))) await transaction.script(schemaScript(definition, schema))
  })
}

const lock = sql(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`)
const findVersions = sql(`
  SELECT true AS is_there FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = 'versions'`)

async function readVersion(
  transaction: Transaction,
  { part }: SchemaDefinition,
  schema: string,
): Promise<{ readonly version: number; readonly storeId: string } | undefined> {
  const [found] = (await transaction.query(findVersions, [schema])).rows
  if (found?.['is_there'] !== true) return undefined
  const text = `SELECT version, store_id FROM "${schema}".versions WHERE part = $1`
  const [row] = (await transaction.query(sql(text), [part])).rows
  return row && { version: row['version'] as number, storeId: row['store_id'] as string }
}

// Names of other schemas are only written out if they are not on the search path.
const clearSearchPath = sql(`SELECT set_config('search_path', 'pg_catalog', true)`)

const readTables = sql(`
  SELECT c.relname::text AS table, c.relkind::text AS kind, c.relpersistence::text AS persistence
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`)

const readColumns = sql(`
  SELECT c.relname::text AS table, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AS not_null, coalesce(l.collname::text, '') AS collation
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
  WHERE n.nspname = $1 AND a.attnum > 0 AND NOT a.attisdropped`)

const readConstraints = sql(`
  SELECT c.relname::text AS table, k.conname::text AS name, pg_get_constraintdef(k.oid) AS definition, k.convalidated AS is_valid
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1`)

const readIndexes = sql(`
  SELECT c.relname::text AS table, x.relname::text AS name, pg_get_indexdef(i.indexrelid) AS definition,
    i.indisvalid AND i.indisready AS is_valid
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1`)

type CatalogueRow = Readonly<Record<string, string | boolean>>

async function differencesOf(
  transaction: Transaction,
  definition: SchemaDefinition,
  schema: string,
): Promise<readonly string[]> {
  await transaction.query(clearSearchPath)
  const read = async (statement: typeof readTables): Promise<Map<string, CatalogueRow>> => {
    const { rows } = await transaction.query(statement, [schema])
    const found = rows as readonly CatalogueRow[]
    return new Map(
      found.map((row) => [row['name'] === undefined ? `${row['table']}` : `${row['table']}.${row['name']}`, row]),
    )
  }
  const tables = await read(readTables)
  const columns = await read(readColumns)
  const constraints = await read(readConstraints)
  const indexes = await read(readIndexes)
  const differences: string[] = []
  const compare = (what: string, found: string | undefined, needed: string): void => {
    if (found === undefined) differences.push(`${what} is missing`)
    else if (plain(found) !== plain(needed)) differences.push(`${what} is ${plain(found)}, needed is ${plain(needed)}`)
  }
  for (const [table, { columns: columnsNeeded, constraints: needed, indexes: indexesNeeded = {} }] of Object.entries(
    definition.tables,
  )) {
    compare(`table ${table}`, tableText(tables.get(table)), 'a table that is logged')
    if (!tables.has(table)) continue
    for (const [column, { type, collation, isNullable = false }] of Object.entries(columnsNeeded)) {
      const row = columns.get(`${table}.${column}`)
      const needed$ = columnText({ type, collation: collation ?? '', not_null: !isNullable })
      compare(
        `column ${table}.${column}`,
        row && columnText(collation === undefined ? { ...row, collation: '' } : row),
        needed$,
      )
    }
    for (const [constraint, text] of Object.entries(needed)) {
      compare(
        `constraint ${table}.${constraint}`,
        validText(constraints.get(`${table}.${constraint}`)),
        text.replaceAll('{schema}', schema),
      )
    }
    for (const [index, { isUnique = false, definition: text }] of Object.entries(indexesNeeded)) {
      const needed$ = `CREATE ${isUnique ? 'UNIQUE ' : ''}INDEX ${index} ON ${schema}.${table} ${text}`
      compare(`index ${table}.${index}`, validText(indexes.get(`${table}.${index}`)), needed$)
    }
  }
  return differences
}

function tableText(row: CatalogueRow | undefined): string | undefined {
  if (row === undefined) return undefined
  if (row['kind'] !== 'r' && row['kind'] !== 'p') return 'no table'
  return row['persistence'] === 'p' ? 'a table that is logged' : 'a table that is not logged'
}

function columnText(row: CatalogueRow): string {
  const collate = row['collation'] === '' ? '' : ` COLLATE ${row['collation']}`
  return `${row['type']}${collate}${row['not_null'] === true ? ' NOT NULL' : ''}`
}

function validText(row: CatalogueRow | undefined): string | undefined {
  if (row === undefined) return undefined
  return row['is_valid'] === true ? `${row['definition']}` : `not valid: ${row['definition']}`
}

/** Removes quotes: server versions differ in whether they quote a name. */
function plain(text: string): string {
  return text.replaceAll('"', '')
}
