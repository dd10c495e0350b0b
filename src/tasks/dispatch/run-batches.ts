import type { RunId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import { isTerminalRunState, type Run, type RunState } from '../run.js'
import type { Timestamp } from '../scalars.js'

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

/** Makes runs ready that are still in `from`; the others, and those of canceled tasks, are left alone. */
export function promoteRuns(
  batch: TaskBatch,
  runIds: readonly RunId[],
  from: 'scheduled' | 'retry_wait',
  timestamp: Timestamp,
): void {
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== from || batch.view.task(run.taskId)?.canceledAt !== undefined) continue
    moveRun(batch, runId, from, 'ready', timestamp)
  }
}

/** Cancels every run of the listed ones that has not ended; an open attempt is dropped. */
export function cancelRuns(batch: TaskBatch, runs: readonly Run[], timestamp: Timestamp): void {
  for (const { id, state } of runs) if (!isTerminalRunState(state)) moveRun(batch, id, state, 'canceled', timestamp)
}

/** Makes suspended runs ready again, except those of canceled tasks. */
export function resumeRuns(batch: TaskBatch, runIds: Iterable<RunId>, timestamp: Timestamp): void {
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== 'suspended' || batch.view.task(run.taskId)?.canceledAt !== undefined) continue
    batch.submit({ type: 'run_resume', runId, timestamp })
  }
}

/** Why a suspended run was put aside. */
export function suspendReasonOf({ history }: Run): string | undefined {
  return history.at(-1)?.reason
}
