import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { Logger } from '../../base/logger.js'
import { abortable, createDeferred, type Deferred } from '../../base/promises.js'
import type { RunId } from '../ids.js'
import type { Run } from '../run.js'
import { concurrencyKeyOf } from '../task-spec.js'
import type { TaskProjection } from '../view.js'

/** What concurrency keys are built on. */
export interface ConcurrencyKeysOptions {
  readonly projection: Pick<TaskProjection, 'task' | 'runsIn'>
  readonly deadlines: DeadlineQueue
  readonly logger: Logger
  /** Milliseconds for which a key is kept for code that goes on after its attempt. */
  readonly stragglerLimitMs: number
  /** Notified that nobody has a key any more. */
  readonly onFree: (key: string) => void
  /** Notified that the code of an earlier attempt has ended: this run, which held the key all along, may go on. */
  readonly onFreeForHolder: (key: string, holder: RunId) => void
}

interface Returning {
  readonly runId: RunId
  readonly granted: Deferred<void>
}

/**
 * Which run holds each concurrency key. Derived from the projection at start, so that a key survives a
 * restart (T-84, T-86); afterwards kept up by what happens to runs.
 *
 * A key may be occupied besides: by code that goes on although its attempt has ended. Nobody acquires it then, not even
 * the run whose code that is. It is free again once the code has really ended, and at the latest after a while.
 *
 * The keys are runs' and not those of slots (`src/work/slots.ts`): a run may hold one while it waits for its next attempt,
 * and takes it up again with the next process.
 */
export class ConcurrencyKeys implements Disposable {
  readonly #options: ConcurrencyKeysOptions
  readonly #holders = new Map<string, RunId>()
  readonly #occupied = new Map<string, number>()
  readonly #limits = new Set<Deadline>()
  /** Runs that had a key, gave it back and need it again to go on; before those that start. */
  readonly #returning = new Map<string, Set<Returning>>()

  constructor(options: ConcurrencyKeysOptions) {
    this.#options = options
    for (const state of ['leased', 'running', 'retry_wait', 'suspended', 'ready'] as const) {
      for (const run of options.projection.runsIn(state)) if (this.#holds(run)) this.tryAcquire(run)
    }
  }

  /** The key of a run, if it has one. */
  keyOf({ taskId }: Run): string | undefined {
    const spec = this.#options.projection.task(taskId)?.spec
    return spec && concurrencyKeyOf(spec)
  }

  /** True when nobody holds or occupies the key. */
  isFree(key: string): boolean {
    return !this.#holders.has(key) && !this.#occupied.has(key)
  }

  /** True when the run has no key, or holds it or could take it, and nothing occupies it. */
  mayAcquire(run: Run): boolean {
    const key = this.keyOf(run)
    if (key === undefined) return true
    const holder = this.#holders.get(key)
    return !this.#occupied.has(key) && (holder === undefined || holder === run.id)
  }

  /** Takes the key, unless it may not; true when the run has none or holds it now. */
  tryAcquire(run: Run): boolean {
    if (!this.mayAcquire(run)) return false
    const key = this.keyOf(run)
    if (key !== undefined) this.#holders.set(key, run.id)
    return true
  }

  /** Frees the key if this run holds it; a foreign release has no effect. */
  release(run: Run): void {
    const key = this.keyOf(run)
    if (key === undefined || this.#holders.get(key) !== run.id) return
    this.#holders.delete(key)
    if (!this.#occupied.has(key)) this.#passOn(key)
  }

  /** Resolves once a run has its key that it had given back. Rejects with the signal's reason. */
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

  /** Frees the key unless the run, in the state it has now, still holds it. */
  update(run: Run): void {
    if (!this.#holds(run)) this.release(run)
  }

  /** Keeps everybody from the key of a run until the code of its attempt has ended, or the limit is over. */
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

  /** Waits for no code any more and leaves no timer behind; nothing is released. */
  [Symbol.dispose](): void {
    for (const limit of this.#limits) limit[Symbol.dispose]()
    this.#limits.clear()
  }

  #passOn(key: string): void {
    const [next] = this.#returning.get(key) ?? []
    if (next === undefined) return this.#options.onFree(key)
    this.#returning.get(key)?.delete(next)
    this.#holders.set(key, next.runId)
    next.granted.resolve()
  }

  /** Takes one occupation back. */
  #vacate(key: string): void {
    const left = (this.#occupied.get(key) ?? 1) - 1
    if (left > 0) return void this.#occupied.set(key, left)
    this.#occupied.delete(key)
    const holder = this.#holders.get(key)
    if (holder === undefined) this.#passOn(key)
    else this.#options.onFreeForHolder(key, holder)
  }

  /** A run that was promoted again after an attempt has not released its key in between. */
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
