import type { RunId } from '../ids.js'
import type { TaskMutations } from '../mutations.js'
import { recoverRun, type EndingOptions } from './attempt-batches.js'
import { closeSpending, unreported } from './spending.js'

/** Open reservations that are closed together with the end of a lost attempt; more than these are closed before it. */
const reservationsAtOnce = 256

/**
 * Takes a run back from an owner that is gone, in groups that fit the journal however many reservations it left. Rejects
 * with the refusal or the lane's failure.
 */
export async function recoverLost(mutations: TaskMutations, runId: RunId, options: EndingOptions): Promise<void> {
  const { projection, atMs } = options
  for (;;) {
    const run = projection.run(runId)
    const open = [...projection.reservationsOf(runId)].map(({ reservationId }) => reservationId)
    if (run?.state !== 'running' || run.lease === undefined || open.length <= reservationsAtOnce) break
    const group = unreported(open.slice(0, reservationsAtOnce))
    await mutations.transact((batch) => closeSpending(batch, run.taskId, group, 'spent', atMs))
  }
  await mutations.transact((batch) => recoverRun(batch, runId, options))
}
