import type { Logger } from '../base/logger.js'
import type { TaskCommit } from './authority.js'
import type { EventOf, TaskEvent } from './catalogue.js'
import { faultIn, faultOf } from './fault.js'
import type { RunId, TaskId } from './ids.js'
import { outcomeOf } from './outcome.js'
import {
  answerAwaited,
  type AttemptFields,
  attemptEnded,
  attemptLost,
  attemptRetried,
  attemptStarted,
  callAwaited,
  dispatchPaused,
  dispatchResumed,
  questionAnswered,
  runOutOfBudget,
  runResumed,
  runSuspended,
  stepDone,
  taskCancelled,
  taskCompleted,
  type TaskFields,
  taskFailed,
  taskSubmitted,
  timeAwaited,
} from './task-lines.js'
import type { TaskProjection } from './view.js'

/** Logs the life of tasks, one durable change after another. Created only if there is a logger. */
export class TaskLog {
  readonly #projection: TaskProjection
  readonly #logger: Logger

  constructor(projection: TaskProjection, logger: Logger) {
    this.#projection = projection
    this.#logger = logger
  }

  /** Handles a durable commit. */
  observe({ events, ended }: TaskCommit): void {
    for (const event of events) this.#tell(event)
    for (const taskId of ended.tasks) this.#tellEnd(taskId)
  }

  #tell(event: TaskEvent): void {
    const logger = this.#logger
    switch (event.type) {
      case 'task_created': {
        const { id: taskId, kind, key, parentTaskId, retryOf } = event.taskSpec
        return taskSubmitted(logger, {
          taskId,
          kind,
          ...(key !== undefined && { key }),
          ...(parentTaskId !== undefined && { parentTaskId }),
          ...(retryOf !== undefined && { retryOf }),
        })
      }
      case 'attempt_begun':
      case 'attempt_started':
        return attemptStarted(logger, this.#attempt(event))
      case 'attempt_ended':
        return this.#tellAttemptEnd(event)
      case 'run_suspended':
        return runSuspended(logger, { ...this.#run(event.runId), ...reasonIn(event) })
      case 'run_resumed':
        return runResumed(logger, this.#run(event.runId))
      case 'step_recorded':
        return stepDone(logger, { ...this.#run(event.runId), step: event.key.replace(/^step:/, '') })
      case 'wait_begun':
        return this.#tellWait(event)
      case 'question_answered':
        return questionAnswered(logger, { taskId: event.taskId, name: event.name })
      case 'engine_paused':
        return dispatchPaused(logger, {})
      case 'engine_resumed':
        return dispatchResumed(logger, {})
      default:
    }
  }

  #tellAttemptEnd(event: EventOf<'attempt_ended'>): void {
    const logger = this.#logger
    const { outcome, newState, retryAtMs, atMs, attemptId } = event
    const { result } = outcome
    const fields = this.#attempt(event)
    const fault = faultOf(outcome)
    if (result === 'lost') attemptLost(logger, { ...fields, ...fault })
    if (result === 'suspended') {
      const run = this.#run(event.runId)
      if (event.reason === 'budget_exhausted') return runOutOfBudget(logger, run)
      return runSuspended(logger, { ...run, ...reasonIn(event) })
    }
    if (newState === 'retry_wait') {
      const dueAtMs = retryAtMs ?? atMs
      const delayMs = Math.max(0, dueAtMs - atMs)
      return attemptRetried(logger, { ...fields, ...fault, result, retryAtMs: dueAtMs, delayMs })
    }
    const record = this.#projection.run(event.runId)?.attempts.findLast((one) => one.attemptId === attemptId)
    const durationMs = record === undefined ? 0 : Math.max(0, atMs - record.startedAtMs)
    attemptEnded(logger, { ...fields, ...fault, result, durationMs })
  }

  #tellWait({ runId, subject }: EventOf<'wait_begun'>): void {
    const logger = this.#logger
    const run = this.#run(runId)
    const { type, ...rest } = subject
    if (type === 'answer') answerAwaited(logger, { ...run, ...(rest as { readonly name: string }) })
    else if (type === 'time') timeAwaited(logger, { ...run, untilMs: subject.untilMs })
    else callAwaited(logger, { ...run, childTaskId: subject.childTaskId })
  }

  #tellEnd(taskId: TaskId): void {
    const outcome = outcomeOf(this.#projection, taskId)
    if (outcome === undefined) return
    const { status, runs } = outcome
    const fields = this.#task(taskId)
    if (status === 'completed') taskCompleted(this.#logger, fields)
    else if (status === 'cancelled') taskCancelled(this.#logger, fields)
    else {
      const attempts = runs.reduce((sum, run) => sum + run.attempts, 0)
      taskFailed(this.#logger, { ...fields, ...faultIn(outcome), attempts })
    }
  }

  #task(taskId: TaskId): TaskFields {
    return { taskId, kind: this.#projection.task(taskId)?.spec.kind ?? '' }
  }

  #run(runId: RunId): TaskFields & { readonly runId: RunId } {
    const run = this.#projection.run(runId)
    const { taskId, kind } = run === undefined ? { taskId: '' as TaskId, kind: '' } : this.#task(run.taskId)
    return { taskId, kind, runId }
  }

  #attempt({ runId, attemptId }: Pick<AttemptFields, 'runId' | 'attemptId'>): AttemptFields {
    const attempts = this.#projection.run(runId)?.attempts ?? []
    return { ...this.#run(runId), attemptId, attempt: attempts.findIndex((one) => one.attemptId === attemptId) + 1 }
  }
}

function reasonIn({ reason }: { readonly reason?: string }): { readonly reason?: string } {
  return reason === undefined ? {} : { reason }
}
