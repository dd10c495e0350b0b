/** The terms used by the charts of the node room, spelled as in the log. */

/** The statuses of a node's maintenance. */
export const maintenanceStatuses = [
  'active',
  'entering_maintenance',
  'maintenance',
  'exiting_maintenance',
  'drain_failed',
  'recovery',
] as const
export type MaintenanceStatus = (typeof maintenanceStatuses)[number]

/** The states of a daemon. */
export const daemonLifecycles = ['stopped', 'starting', 'running', 'stopping'] as const
export type DaemonLifecycle = (typeof daemonLifecycles)[number]

/** Milliseconds of the monotonic clock of one node loop. They have no meaning in another process. */
export type MonotonicMs = number

/** How crashes of a daemon delay its next start. */
export interface CrashBackoff {
  /** Delay after the first crash, in milliseconds. */
  readonly initialMs: number
  /** The factor by which the delay grows with each further crash. */
  readonly factor: number
  /** The longest delay, in milliseconds. */
  readonly maxMs: number
  /** This many crashes within {@link crashLoopWindowMs} are a crash loop. */
  readonly crashLoopThreshold: number
  /** Milliseconds for which a crash counts. */
  readonly crashLoopWindowMs: number
  /** Milliseconds for which a daemon in a crash loop is not started. */
  readonly crashLoopCooldownMs: number
  /** Milliseconds after which a run counts as stable, and earlier crashes are forgotten. */
  readonly stableRunMs: number
}
