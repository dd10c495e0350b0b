import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { Logger } from '../../base/logger.js'
import { abortable, createDeferred, type Deferred } from '../../base/promises.js'
import type { RunId } from '../ids.js'
import type { Run } from '../run.js'
import { concurrencyKeyOf } from '../task-spec.js'
import type { TaskProjection } from '../view.js'

/** Options and dependencies of {@link ConcurrencyKeys}. */
export interface ConcurrencyKeysOptions {
  readonly projection: Pick<TaskProjection, 'task' | 'runsIn'>
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Milliseconds for which a key stays occupied by code that is still running after its attempt has ended. */
  readonly stragglerLimitMs: number
  /** Called when a key becomes free. */
  readonly onFree: (key: string) => void
  /**
   * Called when the leftover code of an earlier attempt has ended and this run, which still holds the key, may go on.
   */
  readonly onFreeForHolder: (key: string, holder: RunId) => void
}

interface Returning {
  readonly runId: RunId
  readonly granted: Deferred<void>
}

/**
 * Which run holds each concurrency key. Read from the projection at start, so a key survives a restart (T-84, T-86);
 * then updated as runs change.
 *
 * A key can also be occupied by code that is still running after its attempt has ended. Nothing can acquire it then,
 * not even the run whose code it is, until the code has ended or a time limit has passed.
 *
 * Keys belong to runs, not to slots (`src/work/slots.ts`): a run may keep its key while it waits for its next attempt,
 * and resumes it in the next process.
 */
export class ConcurrencyKeys implements Disposable {
  readonly #options: ConcurrencyKeysOptions
  readonly #holders = new Map<string, RunId>()
  readonly #occupied = new Map<string, number>()
  readonly #limits = new Set<Deadline>()
  /** Runs that gave their key back and need it again to go on; they come before runs that start. */
  readonly #returning = new Map<string, Set<Returning>>()

  constructor(options: ConcurrencyKeysOptions) {
    this.#options = options
    for (const state of ['leased', 'running', 'retry_wait', 'suspended', 'ready'] as const) {
      for (const run of options.projection.runsIn(state)) if (this.#holds(run)) this.tryAcquire(run)
    }
  }

  /** The concurrency key of a run, if it has one. */
  keyOf({ taskId }: Run): string | undefined {
    const spec = this.#options.projection.task(taskId)?.spec
    return spec && concurrencyKeyOf(spec)
  }

  /** True when no run holds the key and no code occupies it. */
  isFree(key: string): boolean {
    return !this.#holders.has(key) && !this.#occupied.has(key)
  }

  /** True when the run has no key, or holds it or could take it, and no code occupies it. */
  mayAcquire(run: Run): boolean {
    const key = this.keyOf(run)
    return key === undefined || this.#isFreeFor(run.id, key)
  }

  /** Takes the key if possible; true when the run has none or holds it now. */
  tryAcquire(run: Run): boolean {
    const key = this.keyOf(run)
    if (key === undefined) return true
    if (!this.#isFreeFor(run.id, key)) return false
    this.#holders.set(key, run.id)
    return true
  }

  /** Frees the key if this run holds it; otherwise does nothing. */
  release(run: Run): void {
    const key = this.keyOf(run)
    if (key === undefined || this.#holders.get(key) !== run.id) return
    this.#holders.delete(key)
    if (!this.#occupied.has(key)) this.#passOn(key)
  }

  /** Resolves once a run holds again the key that it gave back. Rejects with the signal's reason. */
  async takeAgain(run: Run, signal?: AbortSignal): Promise<void> {
    const key = this.keyOf(run)
    if (key === undefined || this.tryAcquire(run)) return
    const place = { runId: run.id, granted: createDeferred<void>() }
    const line = this.#returning.get(key) ?? new Set()
    this.#returning.set(key, line.add(place))
    try {
      await abortable(place.granted.promise, signal)
    } finally {
      line.delete(place)
      if (line.size === 0) this.#returning.delete(key)
    }
  }

  /** Frees the key if the run, in its current state, no longer holds it. */
  update(run: Run): void {
    if (this.#holders.size === 0) return
    if (!this.#holds(run)) this.release(run)
  }

  /** Keeps the key of a run occupied until the code of its attempt has ended, or the limit has passed. */
  keepUntil(run: Run, finished: Promise<void>): void {
    const key = this.keyOf(run)
    if (key === undefined) return
    this.#occupied.set(key, (this.#occupied.get(key) ?? 0) + 1)
    const { deadlines, logger, stragglerLimitMs: limitMs } = this.#options
    const release = (): boolean => {
      if (!this.#limits.delete(limit)) return false
      limit[Symbol.dispose]()
      this.#vacate(key)
      return true
    }
    const limit = deadlines.after(limitMs, () => {
      if (!release()) return
      const fields = { runId: run.id, taskId: run.taskId, concurrencyKey: key, limitMs }
      logger.warn(
        fields,
        'a handler that ignores its signal was left behind: it may overlap with the next run of its concurrency key',
      )
    })
    this.#limits.add(limit)
    void finished.then(release)
  }

  /** Stops waiting for leftover code and clears the timers; releases nothing. */
  [Symbol.dispose](): void {
    for (const limit of this.#limits) limit[Symbol.dispose]()
    this.#limits.clear()
  }

  #isFreeFor(runId: RunId, key: string): boolean {
    const holder = this.#holders.get(key)
    return !this.#occupied.has(key) && (holder === undefined || holder === runId)
  }

  #passOn(key: string): void {
    const [next] = this.#returning.get(key) ?? []
    if (next === undefined) return this.#options.onFree(key)
    this.#returning.get(key)?.delete(next)
    this.#holders.set(key, next.runId)
    next.granted.resolve()
  }

  /** Removes one occupation of a key. */
  #vacate(key: string): void {
    const left = (this.#occupied.get(key) ?? 1) - 1
    if (left > 0) return void this.#occupied.set(key, left)
    this.#occupied.delete(key)
    const holder = this.#holders.get(key)
    if (holder === undefined) this.#passOn(key)
    else this.#options.onFreeForHolder(key, holder)
  }

  /**
   * True if the run still holds its key in its current state; one promoted again after an attempt has kept it all
   * along.
   */
  #holds(run: Run): boolean {
    const spec = this.#options.projection.task(run.taskId)?.spec
    if (spec === undefined || concurrencyKeyOf(spec) === undefined) return false
    const { constraints } = spec
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
