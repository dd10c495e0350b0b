import * as v from 'valibot'

export {
  daemonLifecycles,
  maintenanceStatuses,
  type CrashBackoff,
  type DaemonLifecycle,
  type MaintenanceStatus,
  type MonotonicMs,
} from '../../machines/node-vocabulary.js'

/** The possible health of a node. */
export const nodeHealths = ['healthy', 'degraded', 'unreachable'] as const
export type NodeHealth = (typeof nodeHealths)[number]

/** Accepts a {@link NodeHealth}. */
export const nodeHealthSchema = v.picklist(nodeHealths)

/** The levels of the log, the least important first. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error'] as const
export type NodeLogLevel = (typeof logLevels)[number]

/** Accepts a {@link NodeLogLevel}. */
export const logLevelSchema = v.picklist(logLevels)

/** What happened to a copy of a chain. */
export const replicaChanges = ['added', 'removed', 'lost', 'repaired'] as const
export type ReplicaChange = (typeof replicaChanges)[number]

/** Whether a daemon should run. */
export const daemonIntents = ['run', 'stop'] as const
export type DaemonIntent = (typeof daemonIntents)[number]

/** Whether this node should hold a copy of a chain. */
export const replicaIntents = ['hold', 'drop'] as const
export type ReplicaIntent = (typeof replicaIntents)[number]

/** Phases of a migration, in order. */
export const migrationPhases = ['snapshot', 'transfer', 'restore', 'replay', 'cutover', 'complete'] as const
export type MigrationPhase = (typeof migrationPhases)[number]
