import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { RunListener } from './run-events.js'
import type { RerunOptions } from './schedule.js'

/** How a plan is run. */
export interface RunPlanOptions extends RerunOptions {
  /** Holds the journal and the records of running processes; made if missing. */
  readonly dataDir: string
  /** Forgets every earlier run of this plan first. */
  readonly fresh?: boolean
  /** What opening does when records at the end of the journal are damaged or missing. Default `refuse`. */
  readonly onDamage?: 'refuse' | 'cut'
  /** Starts no more tools and asks the running ones to end; they are killed after `graceMs`. */
  readonly retire?: AbortSignal
  /** Kills the running tools. */
  readonly terminate?: AbortSignal
  /** Milliseconds a tool has between being asked to end and being killed. */
  readonly graceMs?: number
  readonly onEvent?: RunListener
  readonly clock?: Clock
  readonly logger?: Logger
}
