import type { RunId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import { isTerminalRunState, type Run, type RunState } from '../run.js'
import type { Timestamp } from '../scalars.js'
import { isCanceled } from './lineage.js'

/** Moves one run along an edge. */
export function moveRun(
  batch: TaskBatch,
  runId: RunId,
  previousState: RunState,
  newState: RunState,
  timestamp: Timestamp,
  more: { readonly fencingToken?: number; readonly retryAt?: Timestamp } = {},
): void {
  batch.submit({ type: 'run_state_transition', runId, previousState, newState, timestamp, ...more })
}

/** Makes runs ready that are still in `from`; the others, those of canceled tasks, and all while paused, are left alone. Returns how many moved. */
export function promoteRuns(
  batch: TaskBatch,
  runIds: readonly RunId[],
  from: 'scheduled' | 'retry_wait',
  timestamp: Timestamp,
): number {
  if (batch.view.engine.paused) return 0
  let count = 0
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== from || isCanceled(batch.view, run.taskId)) continue
    moveRun(batch, runId, from, 'ready', timestamp)
    count += 1
  }
  return count
}

/** Cancels every run of the listed ones that has not ended; an open attempt is dropped. */
export function cancelRuns(batch: TaskBatch, runs: readonly Run[], timestamp: Timestamp): void {
  for (const { id, state } of runs) if (!isTerminalRunState(state)) moveRun(batch, id, state, 'canceled', timestamp)
}

/** Makes suspended runs ready again, except those of canceled tasks. */
export function resumeRuns(batch: TaskBatch, runIds: Iterable<RunId>, timestamp: Timestamp): void {
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== 'suspended' || isCanceled(batch.view, run.taskId)) continue
    batch.submit({ type: 'run_resume', runId, timestamp })
  }
}

/** Why a suspended run was put aside. */
export function suspendReasonOf({ history }: Run): string | undefined {
  return history.at(-1)?.reason
}
