import { decodeBytes } from './bytes.js'
import type { RunId, TaskId } from './ids.js'
import type { Run, TerminalRunState } from './run.js'
import type { TaskView } from './view.js'

/** How a run ended. */
export interface RunOutcome {
  readonly runId: RunId
  readonly state: TerminalRunState
  /** Attempts ever started. */
  readonly attempts: number
  /** What the handler returned; only of a completed run that returned something. */
  readonly output?: Uint8Array
  /** Why the last attempt failed. */
  readonly error?: string
}

/**
 * How a task ended. `completed`: at least one run did, as dependents see it; `canceled`: none did and it was canceled, or
 * all its runs were; `failed`: anything else.
 */
export interface TaskOutcome {
  readonly taskId: TaskId
  readonly status: TerminalRunState
  /** Every run, ordered by id. */
  readonly runs: readonly RunOutcome[]
  /** Output of the last run that completed. */
  readonly output?: Uint8Array
  /** Error of the last run that failed. */
  readonly error?: string
}

/** The outcome of a task that can change no more; `undefined` while it can. */
export function outcomeOf(view: Pick<TaskView, 'task' | 'runsOf'>, taskId: TaskId): TaskOutcome | undefined {
  const task = view.task(taskId)
  if (task === undefined || task.progress.open > 0) return undefined
  if (task.progress.runs === 0 && task.canceledAt === undefined) return undefined
  const runs = view.runsOf(taskId).map(runOutcome)
  const output = runs.findLast((run) => run.output !== undefined)?.output
  const error = runs.findLast((run) => run.state === 'failed')?.error
  return {
    taskId,
    status: statusOf(runs),
    runs,
    ...(output !== undefined && { output }),
    ...(error !== undefined && { error }),
  }
}

function statusOf(runs: readonly RunOutcome[]): TerminalRunState {
  if (runs.some(({ state }) => state === 'completed')) return 'completed'
  return runs.some(({ state }) => state === 'failed') ? 'failed' : 'canceled'
}

function runOutcome({ id: runId, state, attemptCount: attempts, attempts: records }: Run): RunOutcome {
  const last = records.at(-1)?.outcome
  const output = last?.result === 'success' ? last.output : undefined
  const error = last?.result === 'failure' || last?.result === 'timeout' ? last.error : undefined
  return {
    runId,
    state: state as TerminalRunState,
    attempts,
    ...(output !== undefined && { output: decodeBytes(output) }),
    ...(error !== undefined && { error }),
  }
}
