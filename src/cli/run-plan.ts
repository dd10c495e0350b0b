import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ProcessRecords } from '../work/children/process-records.js'
import { systemClock, type Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { createRuntime } from '../runtime.js'
import type { PlanFile } from './plan-file.js'
import { PlanRun } from './plan-run.js'
import type { RunListener } from './run-events.js'
import type { RunReport } from './run-report.js'

/** How a plan is run. */
export interface RunPlanOptions {
  /** Holds the journal and the records of running processes; made if missing. */
  readonly dataDir: string
  /** Runs tools again that were lost or interrupted. */
  readonly resume?: boolean
  /** Runs tools again that had ended differently from what the plan expects. */
  readonly retryFailed?: boolean
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

/**
 * Runs the tools of a plan as operations of one session and waits for all of them. Tools that ended in
 * an earlier run with the same data directory are not run again.
 *
 * No process of a tool is left when this settles. Rejects with the errors of {@link createRuntime}
 * (`journal_locked` while another run uses the directory), and of the journal when it fails on the way.
 */
export async function runPlan(file: PlanFile, options: RunPlanOptions): Promise<RunReport> {
  const { dataDir, clock = systemClock, logger, onDamage = 'refuse' } = options
  await mkdir(dataDir, { recursive: true })
  const records = new ProcessRecords(join(dataDir, 'processes'))
  const runtime = await createRuntime({
    dataDir: join(dataDir, 'journal'),
    clock,
    onDamage,
    ...(logger !== undefined && { logger }),
  })
  const run = new PlanRun(file, runtime, records, options)
  try {
    return await run.toEnd()
  } finally {
    await run.close()
  }
}
