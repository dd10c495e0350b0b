import { decodeBytes } from './bytes.js'
import type { RunId, TaskId } from './ids.js'
import { phaseOf } from './task.js'
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

/** How a task ended, as dependents see it: see {@link phaseOf}. */
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
  const status = task === undefined ? 'open' : phaseOf(task)
  if (status === 'open') return undefined
  const runs = view.runsOf(taskId).map(runOutcome)
  const output = runs.findLast((run) => run.output !== undefined)?.output
  const error = runs.findLast((run) => run.state === 'failed')?.error
  return {
    taskId,
    status,
    runs,
    ...(output !== undefined && { output }),
    ...(error !== undefined && { error }),
  }
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
