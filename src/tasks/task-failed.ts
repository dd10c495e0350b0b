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
  /** Why it ended; absent if a host that drives runs itself did not state it. */
  readonly reason?: EndReason
  /** Attempts of all its runs, together. */
  readonly attempts: number
  /** The thrown error, as data. */
  readonly thrown?: ErrorDetails
}

/**
 * A task ended without a result. Branch on `data.reason`. `cause` is the error that was thrown, possibly in an earlier
 * process: it has the same name, message, code and stack, and its own causes.
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
