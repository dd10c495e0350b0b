import { decodeBytes } from './bytes.js'
import { valueOf } from './content.js'
import { type Fault, faultIn, faultOf } from './fault.js'
import type { RunId, TaskId } from './ids.js'
import { phaseOf } from './task.js'
import type { Run, TerminalRunState } from './run.js'
import type { TaskView } from './view.js'

/** How a run ended. */
export interface RunOutcome extends Fault {
  readonly runId: RunId
  readonly state: TerminalRunState
  /** Attempts started. */
  readonly attempts: number
  /** What the handler returned, as bytes; only of a completed run that returned something. */
  readonly output?: Uint8Array
  /** The content type of the output; absent for bytes of unknown meaning. */
  readonly contentType?: string
}

/** How a task ended; see {@link phaseOf}. The fault is that of the last run that failed. */
export interface TaskOutcome extends Fault {
  readonly taskId: TaskId
  readonly status: TerminalRunState
  /** Every run, ordered by id. */
  readonly runs: readonly RunOutcome[]
  /** Output of the last run that completed, as bytes; its content type follows. */
  readonly output?: Uint8Array
  readonly contentType?: string
}

/** The outcome of a task that has ended; `undefined` while it can still change. */
export function outcomeOf(view: Pick<TaskView, 'task' | 'runsOf'>, taskId: TaskId): TaskOutcome | undefined {
  const task = view.task(taskId)
  const status = task === undefined ? 'open' : phaseOf(task)
  if (status === 'open') return undefined
  const runs = view.runsOf(taskId).map(runOutcome)
  const { output, contentType } = runs.findLast((run) => run.output !== undefined) ?? {}
  const failure = runs.findLast((run) => run.state === 'failed')
  return {
    taskId,
    status,
    runs,
    ...(output !== undefined && { output }),
    ...(contentType !== undefined && { contentType }),
    ...(failure !== undefined && faultIn(failure)),
    ...(status === 'cancelled' && { reason: status }),
  }
}

/**
 * What the handler of a completed run, or of the last completed run of a task, returned: text, bytes or a JSON value;
 * `undefined` for nothing. Raises `invalid_input` if a host that drives runs itself stored bytes that do not match
 * their content type.
 */
export function outputValue({ output, contentType }: Pick<RunOutcome, 'output' | 'contentType'>): unknown {
  return output === undefined ? undefined : valueOf(output, contentType, 'output')
}

function runOutcome({ id: runId, state, attemptCount: attempts, attempts: records }: Run): RunOutcome {
  const last = records.at(-1)?.outcome
  const { output, contentType } = last?.result === 'success' ? last : {}
  return {
    runId,
    state: state as TerminalRunState,
    attempts,
    ...(output !== undefined && { output: decodeBytes(output) }),
    ...(contentType !== undefined && { contentType }),
    ...faultOf(last),
    ...(state === 'cancelled' && { reason: state }),
  }
}
