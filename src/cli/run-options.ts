import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { RunListener } from './run-events.js'
import type { RerunOptions } from './schedule.js'

/** Options of a run. */
export interface RunPlanOptions extends RerunOptions {
  /** Directory for the journal and the records of running processes; created if missing. */
  readonly dataDir: string
  /** Discards all earlier runs of the plan first. */
  readonly fresh?: boolean
  /** What to do when records are damaged or missing at the end of the journal. Default `refuse`. */
  readonly onDamage?: 'refuse' | 'cut'
  /**
   * When it aborts, no more tools are started and the running ones are asked to stop; they are killed after `graceMs`.
   */
  readonly retire?: AbortSignal
  /** When it aborts, the running tools are killed. */
  readonly terminate?: AbortSignal
  /** Milliseconds that a tool has to stop before it is killed. */
  readonly graceMs?: number
  readonly onEvent?: RunListener
  readonly clock?: Clock
  readonly logger?: Logger
}
