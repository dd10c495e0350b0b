import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { TaskEvent } from '../events.js'
import type { RunId } from '../ids.js'
import { retryDueAt, type Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import { restOf, type TaskClock } from './task-clock.js'

/** What the retries are built on. */
export interface RetriesOptions {
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly times: TaskClock
  /** Called when the delay of a run is over. */
  readonly onDue: () => void
}

/**
 * Runs that wait for their next attempt. Their delays are monotonic: nobody who sets the wall clock makes one longer or
 * shorter. A process that takes over a waiting run takes the rest of its delay by the wall clock.
 */
export class Retries implements Disposable {
  readonly #options: RetriesOptions
  readonly #waiting = new Map<RunId, Deadline>()
  /** Those whose delay is over, in the order in which it was; they stay until their promotion is durable. */
  readonly #due = new Set<RunId>()

  constructor(options: RetriesOptions) {
    this.#options = options
  }

  /** Takes up the runs that wait already. */
  recover(): void {
    for (const run of this.#options.projection.runsIn('retry_wait')) this.#wait(run)
  }

  /** Takes a durable event. */
  observe(event: TaskEvent): void {
    if (event.type !== 'run_state_changed') return
    const { runId, previousState, newState } = event
    if (previousState === 'retry_wait') this.#forget(runId)
    if (newState !== 'retry_wait') return
    const run = this.#options.projection.run(runId)
    if (run?.state === 'retry_wait') this.#wait(run)
  }

  /** Runs whose delay is over, first come first. */
  *due(): Iterable<Run> {
    for (const runId of this.#due) {
      const run = this.#options.projection.run(runId)
      if (run !== undefined) yield run
    }
  }

  /** Leaves no timer behind. */
  [Symbol.dispose](): void {
    for (const deadline of this.#waiting.values()) deadline[Symbol.dispose]()
    this.#waiting.clear()
  }

  #wait(run: Run): void {
    this.#forget(run.id)
    const { deadlines, times, onDue } = this.#options
    const dueAt = retryDueAt(run)
    const rest = restOf({ dueAt, whole: dueAt - run.lastStateChangeAtMs, now: times.now() })
    if (rest === 0) {
      this.#due.add(run.id)
      return
    }
    const deadline = deadlines.after(rest, () => {
      this.#waiting.delete(run.id)
      this.#due.add(run.id)
      onDue()
    })
    this.#waiting.set(run.id, deadline)
  }

  #forget(runId: RunId): void {
    this.#due.delete(runId)
    this.#waiting.get(runId)?.[Symbol.dispose]()
    this.#waiting.delete(runId)
  }
}
