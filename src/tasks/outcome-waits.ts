import { abortable, createDeferred, type Deferred } from '../base/promises.js'
import type { Ended } from './indexes.js'
import type { TaskId } from './ids.js'
import { outcomeOf, type TaskOutcome } from './outcome.js'
import { unknownTask } from './task.js'
import type { TaskProjection } from './view.js'

/** Callers that wait for the end of a task. */
export class OutcomeWaits {
  readonly #projection: TaskProjection
  readonly #waits = new Map<TaskId, Set<Deferred<TaskOutcome>>>()
  #closed: Error | undefined

  constructor(projection: TaskProjection) {
    this.#projection = projection
  }

  /**
   * Resolves with the outcome. Raises `unknown_task`, `no_longer_retained`, the signal's reason, or the reason of
   * closing; rejects with the latter two if they come later.
   */
  wait(taskId: TaskId, signal?: AbortSignal): Promise<TaskOutcome> {
    signal?.throwIfAborted()
    if (this.#projection.task(taskId) === undefined) throw unknownTask(this.#projection, taskId)
    const outcome = outcomeOf(this.#projection, taskId)
    if (outcome !== undefined) return Promise.resolve(outcome)
    if (this.#closed !== undefined) throw this.#closed
    const deferred = createDeferred<TaskOutcome>()
    const waits = this.#waits.get(taskId) ?? new Set()
    this.#waits.set(taskId, waits.add(deferred))
    if (signal === undefined) return deferred.promise
    return abortable(deferred.promise, signal).finally(() => this.#forget(taskId, deferred))
  }

  /** Resolves the waits for tasks that have ended. */
  observe({ tasks }: Ended): void {
    for (const taskId of tasks) {
      for (const deferred of this.#waits.get(taskId) ?? []) {
        // Each caller gets an outcome of its own, since bytes cannot be frozen.
        const outcome = outcomeOf(this.#projection, taskId)
        if (outcome === undefined) continue
        deferred.resolve(outcome)
        this.#forget(taskId, deferred)
      }
    }
  }

  #forget(taskId: TaskId, deferred: Deferred<TaskOutcome>): void {
    const waits = this.#waits.get(taskId)
    if (waits?.delete(deferred) === true && waits.size === 0) this.#waits.delete(taskId)
  }

  /** Rejects all waits, current and later, with `reason`: nothing will end any more. */
  close(reason: Error): void {
    this.#closed = reason
    for (const waits of this.#waits.values()) for (const deferred of waits) deferred.reject(reason)
  }
}
