import type { RunId } from '../ids.js'
import type { Run } from '../run.js'
import type { TaskProjection } from '../view.js'

/** What a gate tells its owner. */
export interface KeyGateListener {
  /** Nobody has this key any more. */
  readonly onFree?: (key: string) => void
  /** The code of an earlier attempt has ended: this run, which held the key all along, may go on. */
  readonly onVacated?: (key: string, holder: RunId) => void
}

/**
 * Which run holds each concurrency key. Derived from the projection at start, so that a key survives a
 * restart (spec mutation authority 7.4, D-10); afterwards kept up by what happens to runs.
 *
 * A key may be occupied besides: by code that goes on although its attempt has ended. Nobody acquires it then, not even
 * the run whose code that is.
 */
export class ConcurrencyKeyGate {
  readonly #projection: Pick<TaskProjection, 'task' | 'runsIn'>
  readonly #listener: KeyGateListener
  readonly #holders = new Map<string, RunId>()
  readonly #occupied = new Map<string, number>()

  constructor(projection: Pick<TaskProjection, 'task' | 'runsIn'>, listener: KeyGateListener = {}) {
    this.#projection = projection
    this.#listener = listener
    for (const state of ['leased', 'running', 'retry_wait', 'suspended', 'ready'] as const) {
      for (const run of projection.runsIn(state)) if (this.#holds(run)) this.tryAcquire(run)
    }
  }

  /** The key of a run, if it has one. */
  keyOf({ taskId }: Run): string | undefined {
    return this.#projection.task(taskId)?.spec.constraints.concurrencyKey
  }

  /** True when nobody holds or occupies the key. */
  isFree(key: string): boolean {
    return !this.#holders.has(key) && !this.#occupied.has(key)
  }

  /** True when the run has no key, or holds it or takes it now and nothing occupies it. */
  tryAcquire(run: Run): boolean {
    const key = this.keyOf(run)
    if (key === undefined) return true
    if (this.#occupied.has(key)) return false
    const holder = this.#holders.get(key)
    if (holder === undefined) this.#holders.set(key, run.id)
    return holder === undefined || holder === run.id
  }

  /** Frees the key if this run holds it; a foreign release has no effect. */
  release(run: Run): void {
    const key = this.keyOf(run)
    if (key === undefined || this.#holders.get(key) !== run.id) return
    this.#holders.delete(key)
    if (!this.#occupied.has(key)) this.#listener.onFree?.(key)
  }

  /** Keeps everybody from a key until {@link ConcurrencyKeyGate.vacate}, once for each time it was occupied. */
  occupy(key: string): void {
    this.#occupied.set(key, (this.#occupied.get(key) ?? 0) + 1)
  }

  /** Takes one occupation back. */
  vacate(key: string): void {
    const left = (this.#occupied.get(key) ?? 1) - 1
    if (left > 0) return void this.#occupied.set(key, left)
    this.#occupied.delete(key)
    const holder = this.#holders.get(key)
    if (holder === undefined) this.#listener.onFree?.(key)
    else this.#listener.onVacated?.(key, holder)
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
      case 'cancelled':
        return false
    }
  }
}
