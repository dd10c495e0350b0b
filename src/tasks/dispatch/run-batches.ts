import type { RunId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import type { Run, RunState } from '../run.js'
import type { TaskProjection } from '../view.js'
import { isCancelled, lineage } from './lineage.js'

/** Moves one run along an edge. */
export function moveRun(
  batch: TaskBatch,
  runId: RunId,
  previousState: RunState,
  newState: RunState,
  atMs: number,
  more: { readonly fencingToken?: number; readonly retryAtMs?: number } = {},
): void {
  batch.submit({ type: 'run_state_transition', runId, previousState, newState, atMs, ...more })
}

/** Makes runs ready that are still in `from`; the others, those of cancelled tasks, and all while paused, are left alone. Returns how many moved. */
export function promoteRuns(
  batch: TaskBatch,
  runIds: readonly RunId[],
  from: 'scheduled' | 'retry_wait',
  atMs: number,
): number {
  if (batch.view.engine.paused) return 0
  let count = 0
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== from || isCancelled(batch.view, run.taskId)) continue
    moveRun(batch, runId, from, 'ready', atMs)
    count += 1
  }
  return count
}

/** Makes suspended runs ready again, except those of cancelled tasks. */
export function resumeRuns(batch: TaskBatch, runIds: Iterable<RunId>, atMs: number): void {
  for (const runId of runIds) {
    const run = batch.view.run(runId)
    if (run?.state !== 'suspended' || isCancelled(batch.view, run.taskId)) continue
    batch.submit({ type: 'run_resume', runId, atMs })
  }
}

/** Why a suspended run was put aside. */
export function suspendReasonOf({ history }: Run): string | undefined {
  return history.at(-1)?.reason
}

/**
 * True for a run that was put aside for its budget and may go on: a ledger it spends from was replenished since. Told from
 * durable state, so that no crash between a replenishment and what it lets go on is felt.
 */
export function isOwedResumption(projection: Pick<TaskProjection, 'task' | 'budgetsOf'>, run: Run): boolean {
  if (run.state !== 'suspended' || suspendReasonOf(run) !== 'budget_exhausted') return false
  for (const { spec } of lineage(projection, run.taskId)) {
    for (const { replenishedAtMs } of projection.budgetsOf(spec.id)) {
      if (replenishedAtMs !== undefined && replenishedAtMs >= run.lastStateChangeAtMs) return true
    }
  }
  return false
}
