import { defineLine } from '../base/log-lines.js'
import type { Fault } from './fault.js'
import type { AttemptId, RunId, TaskId } from './ids.js'
import type { AttemptResult } from './vocabulary.js'

/** The task of a log line. */
export interface TaskFields {
  readonly taskId: TaskId
  readonly kind: string
}

/** The run of a log line. */
export interface RunFields extends TaskFields {
  readonly runId: RunId
}

/** The attempt of a log line. */
export interface AttemptFields extends RunFields {
  readonly attemptId: AttemptId
  /** From 1; includes suspended attempts. */
  readonly attempt: number
}

export const taskSubmitted = defineLine<
  TaskFields & { readonly key?: string; readonly parentTaskId?: TaskId; readonly retryOf?: TaskId }
>('debug', 'a task was submitted')

export const taskCompleted = defineLine<TaskFields>('debug', 'a task has completed')
export const taskCancelled = defineLine<TaskFields>('debug', 'a task was cancelled')
export const taskFailed = defineLine<TaskFields & Fault & { readonly attempts: number }>('warn', 'a task has failed')

export const attemptStarted = defineLine<AttemptFields>('debug', 'an attempt has started')
export const attemptEnded = defineLine<
  AttemptFields & Fault & { readonly result: AttemptResult; readonly durationMs: number }
>('debug', 'an attempt has ended')
export const attemptRetried = defineLine<
  AttemptFields & Fault & { readonly result: AttemptResult; readonly retryAtMs: number; readonly delayMs: number }
>('debug', 'an attempt has failed and the run will be retried')
export const attemptLost = defineLine<AttemptFields & Fault>('warn', 'an attempt was lost with its process')

export const runSuspended = defineLine<RunFields & { readonly reason?: string }>('debug', 'a run was suspended')
export const runOutOfBudget = defineLine<RunFields>('warn', 'a run was suspended because its budget is spent')
export const runResumed = defineLine<RunFields>('debug', 'a run has resumed')
export const runBlocked = defineLine<RunFields & { readonly by: string }>('debug', 'a run cannot start yet')

export const stepDone = defineLine<RunFields & { readonly step: string }>('debug', 'a step has completed')

export const answerAwaited = defineLine<
  RunFields & { readonly name: string; readonly whom?: string; readonly untilMs?: number }
>('debug', 'a run is waiting for an answer')
export const timeAwaited = defineLine<RunFields & { readonly untilMs: number }>('debug', 'a run is sleeping')
export const callAwaited = defineLine<RunFields & { readonly childTaskId: TaskId }>(
  'debug',
  'a run is waiting for a task it called',
)
export const questionAnswered = defineLine<{ readonly taskId: TaskId; readonly name: string }>(
  'debug',
  'a question was answered',
)
/** The handler refuses an answer that came while no handler could check it. */
export const answerRefused = defineLine<{
  readonly taskId: TaskId
  readonly runId: RunId
  readonly name: string
  readonly error: string
}>('warn', 'an answer was refused and its question is asked again')

export const dispatchPaused = defineLine<object>('info', 'dispatch is paused')
export const dispatchResumed = defineLine<object>('info', 'dispatch has resumed')
export const runsTakenBack = defineLine<{ readonly runs: number }>(
  'info',
  'runs held by an earlier process were reclaimed',
)
