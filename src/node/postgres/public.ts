/** A cluster of nodes on PostgreSQL. */
export type { PostgresClusterOptions } from './options.js'
export { PostgresCluster } from './postgres-cluster.js'
export { clusterTables } from './tables.js'
