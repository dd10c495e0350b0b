import { join, resolve } from 'node:path'
import { ProcessRecords } from '../work/children/process-records.js'
import { systemClock } from '../base/clock.js'
import { makeDirectory } from '../base/make-directory.js'
import { createRuntime } from '../create-runtime.js'
import type { LoadedPlan } from './loaded-plan.js'
import { PlanRun } from './plan-run.js'
import type { RunPlanOptions } from './run-options.js'
import type { RunReport } from './run-report.js'

/**
 * Runs the tools of a plan as operations of one session, each once the tools it needs have ended, and waits for all of
 * them. Tools that ended in an earlier run with the same data directory are not run again.
 *
 * No process of a tool is left when this settles. Rejects with the errors of {@link createRuntime} (`journal_locked`
 * while another run uses the directory), and with those of the journal if it fails during the run.
 */
export async function runPlan(file: LoadedPlan, options: RunPlanOptions): Promise<RunReport> {
  const { clock = systemClock, logger, onDamage = 'refuse' } = options
  const dataDir = resolve(options.dataDir)
  await makeDirectory(dataDir)
  const records = new ProcessRecords(join(dataDir, 'processes'))
  const runtime = await createRuntime({
    dataDir: join(dataDir, 'journal'),
    clock,
    onDamage,
    ...(logger !== undefined && { logger }),
  })
  const run = new PlanRun(file, runtime, records, { ...options, dataDir })
  try {
    return await run.toEnd()
  } finally {
    await run.close()
  }
}
