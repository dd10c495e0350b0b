export {
  sql,
  type PgPool,
  type SqlResult,
  type SqlRow,
  type SqlRunner,
  type SqlStatement,
  type SqlValue,
} from './client.js'
export { PostgresDatabase } from './database.js'
export { StoreError, type StoreErrorCode, type StoreErrorData } from './errors.js'
export { PostgresListener, type ListenerOptions } from './listener.js'
export type { PostgresOptions } from './options.js'
export {
  openSchema,
  schemaScript,
  type ColumnDefinition,
  type IndexDefinition,
  type SchemaDefinition,
  type TableDefinition,
} from './schema.js'
export type { Transaction } from './transaction.js'
