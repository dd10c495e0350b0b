import type { DeadlineQueue } from '../../base/deadline-queue.js'
import type { TaskEvent } from '../events.js'
import type { TaskMutations } from '../mutations.js'
import type { Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import { Retries } from './retries.js'
import { promoteRuns } from './run-batches.js'
import type { TaskClock } from './task-clock.js'
import { Triggers } from './triggers.js'

/** What promotion is built on. */
export interface PromotionOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly times: TaskClock
  /** Hears of every run whose promotion is on its way to the journal: what follows from it may share the sync. */
  readonly onPromoting: (run: Run) => void
  /** Takes the failure of a batch. */
  readonly onFailure: (failure: unknown) => void
  /** Called when a batch has settled and the next may begin, and when a retry is due. */
  readonly onSettled: () => void
}

type Source = 'scheduled' | 'retry_wait' | 'triggered'

/** Runs promoted in one batch, so that a long downtime does not make one giant record. */
const chunk = 256

/** Makes runs ready whose time has come, or whose event (spec mutation authority 7.4, 7.8). */
export class Promotion implements Disposable {
  readonly #options: PromotionOptions
  readonly #triggers: Triggers
  readonly #retries: Retries
  /** One batch of each source at a time. */
  readonly #busy = new Set<Source>()

  constructor(options: PromotionOptions) {
    this.#options = options
    this.#triggers = new Triggers(options.projection)
    this.#retries = new Retries({ ...options, onDue: options.onSettled })
  }

  /** Reads what an earlier process left off the projection. */
  recover(): void {
    this.#triggers.recover()
    this.#retries.recover()
  }

  /** Takes a durable event. */
  observe(event: TaskEvent): void {
    this.#triggers.observe(event)
    this.#retries.observe(event)
  }

  /** Begins what can be begun now; O(1) when nothing is due. */
  run(): void {
    const { projection, times } = this.#options
    this.#promote('scheduled', projection.dueScheduled(times.wall()))
    this.#promote('retry_wait', this.#retries.due())
    this.#releaseTriggered()
  }

  /** When the calendar has something to promote again. Retries call by themselves. */
  nextDueAt(): number | undefined {
    return this.#options.projection.nextScheduledAtMs()
  }

  /** Leaves no timer behind. */
  [Symbol.dispose](): void {
    this.#retries[Symbol.dispose]()
  }

  #promote(from: 'scheduled' | 'retry_wait', due: Iterable<Run>): void {
    if (this.#busy.has(from)) return
    const runs: Run[] = []
    for (const run of due) if (runs.push(run) === chunk) break
    if (runs.length === 0) return
    const { mutations, times, onPromoting } = this.#options
    const runIds = runs.map(({ id }) => id)
    const change = mutations.transact((batch) => promoteRuns(batch, runIds, from, times.now()))
    runs.forEach(onPromoting)
    void this.#settle(from, change)
  }

  #releaseTriggered(): void {
    if (this.#busy.has('triggered') || this.#triggers.isEmpty) return
    const { mutations, times } = this.#options
    const taken = this.#triggers.take()
    const change = mutations.transact((batch) => this.#triggers.release(batch, taken, times.now()))
    void this.#settle('triggered', change, () => this.#triggers.putBack(taken))
  }

  async #settle(source: Source, change: Promise<number>, undo: () => void = () => {}): Promise<void> {
    this.#busy.add(source)
    let count = 0
    try {
      count = await change
    } catch (failure) {
      undo()
      this.#options.onFailure(failure)
      return
    } finally {
      this.#busy.delete(source)
    }
    // One that changed nothing met what is under way; the commit of that calls again.
    if (count > 0) this.#options.onSettled()
  }
}
