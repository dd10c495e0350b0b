import * as v from 'valibot'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { decode } from '../base/decode.js'
import { StatewardError } from '../base/errors.js'
import { durationSchema, optionsSchema, signalSchema } from '../base/options.js'
import { abortable, createDeferred, silence } from '../base/promises.js'
import { checkValue, type Schema } from '../work/values.js'
import type { CancelAnswer } from './dispatch/cancellation.js'
import type { TaskId } from './ids.js'
import { outputValue, type TaskOutcome } from './outcome.js'
import { TaskFailed } from './task-failed.js'

/** How long to wait for a result. */
export interface ResultOptions {
  /** Aborts the wait, which rejects with the signal's reason; the task goes on. */
  readonly signal?: AbortSignal
  /** Milliseconds after which the wait rejects with `result_timed_out`; the task goes on. */
  readonly timeoutMs?: number
}

const resultSchema = optionsSchema<ResultOptions>({
  signal: v.optional(signalSchema),
  timeoutMs: v.optional(durationSchema),
})

/** What a handle needs of the tasks room. */
export interface TaskHandlePort {
  readonly deadlines: DeadlineQueue
  outcome(taskId: TaskId, options: { readonly signal?: AbortSignal }): Promise<TaskOutcome>
  cancel(taskId: TaskId): Promise<CancelAnswer>
  retry<Output>(taskId: TaskId, output: Schema<unknown, Output> | undefined): Promise<TaskHandle<Output>>
}

/** Options of a handle. */
interface HandleOptions<Output> {
  readonly id: TaskId
  readonly kind: string
  readonly isNew: boolean
  readonly output?: Schema<unknown, Output>
}

/**
 * A submitted task: its id, its result, and ways to cancel and retry it. It keeps nothing alive, so you can drop it at
 * any time.
 */
export class TaskHandle<Output> {
  readonly id: TaskId
  readonly kind: string
  /** False if the key it was submitted with already named an existing task. */
  readonly isNew: boolean
  readonly #output: Schema<unknown, Output> | undefined
  readonly #port: TaskHandlePort

  /** @internal */
  constructor({ id, kind, isNew, output }: HandleOptions<Output>, port: TaskHandlePort) {
    this.id = id
    this.kind = kind
    this.isNew = isNew
    this.#output = output
    this.#port = port
  }

  /**
   * Resolves with what the handler returned in the last run that completed, once the task has ended. Rejects with
   * {@link TaskFailed} if the task ended without a result, with `result_timed_out`, with the signal's reason, with
   * `channel_closed` if the runtime closes first, and with `invalid_input` if the schema of the definition refuses the
   * result.
   */
  result(options: ResultOptions = {}): Promise<Output> {
    return silence(this.#result(options))
  }

  /**
   * Resolves with how the task ended, run by run; it does not reject if the task failed. Rejects as `tasks.outcome`
   * does.
   */
  outcome(options: { readonly signal?: AbortSignal } = {}): Promise<TaskOutcome> {
    return this.#port.outcome(this.id, options)
  }

  /** Cancels the task, as `tasks.cancel` does. */
  cancel(): Promise<CancelAnswer> {
    return this.#port.cancel(this.id)
  }

  /** Submits the failed task again, as `tasks.retry` does, and resolves with the handle of the new task. */
  retry(): Promise<TaskHandle<Output>> {
    return this.#port.retry(this.id, this.#output)
  }

  async #result(options: ResultOptions): Promise<Output> {
    const { signal, timeoutMs } = decode(resultSchema, options, 'result options')
    const outcome = await this.#within(timeoutMs, signal)
    if (outcome.status !== 'completed') throw new TaskFailed(this.kind, outcome)
    const value = outputValue(outcome)
    if (this.#output === undefined) return value as Output
    return (await checkValue(this.#output, value, `result of ${this.kind}`)) as Output
  }

  async #within(timeoutMs: number | undefined, signal: AbortSignal | undefined): Promise<TaskOutcome> {
    if (timeoutMs === undefined) return this.#port.outcome(this.id, signal === undefined ? {} : { signal })
    const { id: taskId, kind } = this
    const given = new AbortController()
    const late = createDeferred<never>()
    const deadline = this.#port.deadlines.after(timeoutMs, () => {
      const message = `${kind} has no result after ${timeoutMs} milliseconds`
      late.reject(new StatewardError('result_timed_out', message, { taskId, timeoutMs }))
    })
    const ended = silence(this.#port.outcome(taskId, { signal: given.signal }))
    try {
      return await abortable(Promise.race([ended, late.promise]), signal)
    } finally {
      deadline[Symbol.dispose]()
      // End the wait for the outcome.
      given.abort()
    }
  }
}
