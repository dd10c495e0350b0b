import type { TaskEvent } from '../events.js'
import type { TaskMutations } from '../mutations.js'
import type { Run } from '../run.js'
import type { Timestamp } from '../scalars.js'
import type { TaskProjection } from '../view.js'
import { promoteRuns } from './run-batches.js'
import { Triggers } from './triggers.js'

/** What promotion is built on. */
export interface PromotionOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly now: () => Timestamp
  /** Hears of every run whose promotion is on its way to the journal: what follows from it may share the sync. */
  readonly onPromoting: (run: Run) => void
  /** Takes the failure of a batch. */
  readonly onFailure: (failure: unknown) => void
  /** Called when a batch has settled and the next may begin. */
  readonly onSettled: () => void
}

type Source = 'scheduled' | 'retry_wait' | 'triggered'

/** Runs promoted in one batch, so that a long downtime does not make one giant record. */
const chunk = 256

/** Makes runs ready whose time has come, or whose event (spec mutation authority 7.4, 7.8). */
export class Promotion {
  readonly #options: PromotionOptions
  readonly #triggers: Triggers
  /** One batch of each source at a time. */
  readonly #busy = new Set<Source>()

  constructor(options: PromotionOptions) {
    this.#options = options
    this.#triggers = new Triggers(options.projection)
  }

  /** Reads what an earlier process left off the projection. */
  recover(): void {
    this.#triggers.recover()
  }

  /** Takes a durable event. */
  observe(event: TaskEvent): void {
    this.#triggers.observe(event)
  }

  /** Begins what can be begun now; O(1) when nothing is due. */
  run(): void {
    const { projection, now } = this.#options
    this.#promote('scheduled', projection.dueScheduled(now()))
    this.#promote('retry_wait', projection.dueRetries(now()))
    this.#releaseTriggered()
  }

  /** When there is something to promote again. */
  nextDueAt(): Timestamp | undefined {
    const { projection } = this.#options
    const scheduledAt = projection.nextScheduledAt() ?? Number.POSITIVE_INFINITY
    const retryAt = projection.nextRetryAt() ?? Number.POSITIVE_INFINITY
    const next = Math.min(scheduledAt, retryAt)
    return next === Number.POSITIVE_INFINITY ? undefined : next
  }

  #promote(from: 'scheduled' | 'retry_wait', due: Iterable<Run>): void {
    if (this.#busy.has(from)) return
    const runs: Run[] = []
    for (const run of due) if (runs.push(run) === chunk) break
    if (runs.length === 0) return
    const { mutations, now, onPromoting } = this.#options
    const runIds = runs.map(({ id }) => id)
    const change = mutations.transact((batch) => promoteRuns(batch, runIds, from, now()))
    runs.forEach(onPromoting)
    void this.#settle(from, change)
  }

  #releaseTriggered(): void {
    if (this.#busy.has('triggered') || this.#triggers.isEmpty) return
    const { mutations, now } = this.#options
    const taken = this.#triggers.take()
    const change = mutations.transact((batch) => this.#triggers.release(batch, taken, now()))
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
