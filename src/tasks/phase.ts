import type { TerminalRunState } from './run.js'
import type { Task, TaskProgress } from './view.js'

/** Where a task stands as a whole: `open`, or how it has ended. */
export type TaskPhase = 'open' | TerminalRunState

/** The progress of a task without runs. */
export const noProgress: TaskProgress = { runs: 0, open: 0, completed: 0, failed: 0 }

/**
 * The phase of a task. It has ended when none of its runs can change any more; a task that never had a run has ended once it
 * is cancelled. `completed`: at least one run did; `failed`: none did and one failed; `cancelled`: all its runs were, or
 * there were none.
 *
 * This is the one place that says so: what dependents, waiters, parents and follow-ups go by. Whether a task was *marked*
 * as cancelled is another question, for its runs may still be under way.
 */
export function phaseOf({ progress, cancelledAtMs }: Pick<Task, 'progress' | 'cancelledAtMs'>): TaskPhase {
  const { runs, open, completed, failed } = progress
  if (open > 0 || (runs === 0 && cancelledAtMs === undefined)) return 'open'
  if (completed > 0) return 'completed'
  return failed > 0 ? 'failed' : 'cancelled'
}

/** True for a task that can change no more; of a task that is not known, `false`. */
export function hasEnded(task: Task | undefined): boolean {
  return task !== undefined && phaseOf(task) !== 'open'
}
