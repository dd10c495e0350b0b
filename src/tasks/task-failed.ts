import { errorOfDetails, type ErrorDetails } from '../base/error-details.js'
import { StatewardError } from '../base/errors.js'
import type { TaskId } from './ids.js'
import type { EndReason } from './fault.js'
import type { TaskOutcome } from './outcome.js'

/** Data of a {@link TaskFailed}. */
export interface TaskFailure {
  readonly taskId: TaskId
  readonly kind: string
  readonly status: 'failed' | 'cancelled'
  /** How it came about; absent where a host that drives runs itself has not said. */
  readonly reason?: EndReason
  /** Attempts of all its runs. */
  readonly attempts: number
  /** What was thrown, as data. */
  readonly thrown?: ErrorDetails
}

/**
 * A task has ended without a result: branch on `data.reason`. What was thrown, perhaps by an earlier process, is `cause`:
 * an error of the same name, message, code and stack, with its own causes below it.
 */
export class TaskFailed extends StatewardError<'task_failed', TaskFailure> {
  override readonly name = 'TaskFailed'

  constructor(kind: string, { taskId, status, error, reason, cause: thrown, runs }: TaskOutcome) {
    const isCancelled = status === 'cancelled'
    const attempts = runs.reduce((sum, run) => sum + run.attempts, 0)
    const data: TaskFailure = {
      taskId,
      kind,
      status: isCancelled ? 'cancelled' : 'failed',
      ...(reason !== undefined && { reason }),
      attempts,
      ...(thrown !== undefined && { thrown }),
    }
    const message = isCancelled ? `${kind} was cancelled` : `${kind} failed: ${error ?? 'nobody said why'}`
    super('task_failed', message, data, thrown === undefined ? undefined : { cause: errorOfDetails(thrown) })
  }
}
