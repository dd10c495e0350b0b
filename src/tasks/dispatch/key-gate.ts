import type { RunId } from '../ids.js'
import type { Run } from '../run.js'
import type { TaskProjection } from '../view.js'

/**
 * Which run holds each concurrency key. Derived from the projection at start, so that a key survives a
 * restart (spec mutation authority 7.4, D-10); afterwards kept up by what happens to runs.
 */
export class ConcurrencyKeyGate {
  readonly #projection: Pick<TaskProjection, 'task' | 'runsIn'>
  readonly #onFree: (key: string) => void
  readonly #holders = new Map<string, RunId>()

  /** `onFree` hears of every key that became free. */
  constructor(projection: Pick<TaskProjection, 'task' | 'runsIn'>, onFree: (key: string) => void = () => {}) {
    this.#projection = projection
    this.#onFree = onFree
    for (const state of ['leased', 'running', 'retry_wait', 'suspended', 'ready'] as const) {
      for (const run of projection.runsIn(state)) if (this.#holds(run)) this.tryAcquire(run)
    }
  }

  /** The key of a run, if it has one. */
  keyOf({ taskId }: Run): string | undefined {
    return this.#projection.task(taskId)?.spec.constraints.concurrencyKey
  }

  /** True when nobody holds the key. */
  isFree(key: string): boolean {
    return !this.#holders.has(key)
  }

  /** True when the run has no key, holds its key, or takes it now. */
  tryAcquire(run: Run): boolean {
    const key = this.keyOf(run)
    if (key === undefined) return true
    const holder = this.#holders.get(key)
    if (holder === undefined) this.#holders.set(key, run.id)
    return holder === undefined || holder === run.id
  }

  /** Frees the key if this run holds it; a foreign release has no effect. */
  release(run: Run): void {
    const key = this.keyOf(run)
    if (key === undefined || this.#holders.get(key) !== run.id) return
    this.#holders.delete(key)
    this.#onFree(key)
  }

  /** Frees the key unless the run, in the state it has now, still holds it. */
  update(run: Run): void {
    if (!this.#holds(run)) this.release(run)
  }

  /** A run that was promoted again after an attempt has not let go of its key in between. */
  #holds(run: Run): boolean {
    const constraints = this.#projection.task(run.taskId)?.spec.constraints
    if (constraints?.concurrencyKey === undefined) return false
    switch (run.state) {
      case 'leased':
      case 'running':
        return true
      case 'retry_wait':
      case 'suspended':
        return constraints.concurrencyKeyHoldPolicy === 'hold_during_retry'
      case 'ready':
        return run.attemptCount > 0 && constraints.concurrencyKeyHoldPolicy === 'hold_during_retry'
      case 'scheduled':
      case 'completed':
      case 'failed':
      case 'canceled':
        return false
    }
  }
}
