/** Words of the node room that its charts speak; spellings are those of the log. */

/** Where a node stands in its maintenance. */
export const maintenanceStatuses = [
  'active',
  'entering_maintenance',
  'maintenance',
  'exiting_maintenance',
  'drain_failed',
  'recovery',
] as const
export type MaintenanceStatus = (typeof maintenanceStatuses)[number]

/** Where a daemon stands. */
export const daemonLifecycles = ['stopped', 'starting', 'running', 'stopping'] as const
export type DaemonLifecycle = (typeof daemonLifecycles)[number]

/** Milliseconds by the monotonic clock of one node loop: they mean nothing to another process. */
export type MonotonicMs = number

/** How crashes of one daemon put off its next start. */
export interface CrashBackoff {
  /** Milliseconds after the first crash. */
  readonly initialMs: number
  /** What the delay is multiplied by with each further crash. */
  readonly factor: number
  /** The longest delay, in milliseconds. */
  readonly maxMs: number
  /** So many crashes within {@link crashLoopWindowMs} are a crash loop. */
  readonly crashLoopThreshold: number
  /** Milliseconds for which a crash counts. */
  readonly crashLoopWindowMs: number
  /** Milliseconds for which a daemon in a crash loop is not started. */
  readonly crashLoopCooldownMs: number
  /** Milliseconds after which a run counts as stable and crashes before it are forgotten. */
  readonly stableRunMs: number
}
