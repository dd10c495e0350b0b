export type { PostgresStoreOptions } from './options.js'
export { PostgresProcessStore } from './postgres-store.js'
export { processTables } from './tables.js'
