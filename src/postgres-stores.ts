/** `stateward/postgres`: processes and clusters of nodes on PostgreSQL, for several hosts. Needs the package `pg`. */
export * from './processes/postgres/public.js'
export * from './node/postgres/public.js'
