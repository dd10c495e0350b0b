/** `stateward/postgres`: processes on PostgreSQL, for several hosts. Needs the package `pg`. */
export {
  PostgresDatabase,
  PostgresListener,
  schemaScript,
  StoreError,
  type ColumnDefinition,
  type IndexDefinition,
  type ListenerOptions,
  type PgPool,
  type PostgresOptions,
  type SchemaDefinition,
  type SqlResult,
  type SqlRow,
  type SqlRunner,
  type SqlStatement,
  type SqlValue,
  type StoreErrorCode,
  type StoreErrorData,
  type TableDefinition,
  type Transaction,
} from '../../postgres/index.js'
export type { PostgresStoreOptions } from './options.js'
export { PostgresProcessStore } from './postgres-store.js'
export { processTables } from './tables.js'
