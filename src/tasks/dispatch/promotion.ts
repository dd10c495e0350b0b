import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { IdSource } from '../../base/ids.js'
import { noValues } from '../../base/multi-map.js'
import type { TaskEvent } from '../catalogue.js'
import type { RunId } from '../ids.js'
import type { TaskMutations } from '../authority.js'
import { retryDueAt, type Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import { leaveOutMissed } from './missed-occurrences.js'
import { promoteRuns } from './runs.js'
import { restOf, type TaskClock } from './task-clock.js'
import { Triggers } from './triggers.js'

/** What promotion is built on. */
export interface PromotionOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly times: TaskClock
  /** Since when occurrences are promoted at their time, in epoch milliseconds. */
  readonly watchedSince: () => number
  readonly ids: IdSource
  /** Notified of every run whose promotion is on its way to the journal: what follows from it may share the sync. */
  readonly onPromoting: (run: Run) => void
  /** Takes the failure of a batch. */
  readonly onFailure: (failure: unknown) => void
  /** Notified when the next batch may begin, and when a retry is due. */
  readonly onRoom: () => void
}

type Source = 'scheduled' | 'retry_wait' | 'triggered'

/** Runs promoted in one batch, so that a long downtime does not make one giant record. */
const chunk = 256

/** Makes runs ready whose time has come, or whose event (T-74, T-90). */
export class Promotion implements Disposable {
  readonly #options: PromotionOptions
  readonly #triggers: Triggers
  readonly #retries: Retries
  /** One batch of each source at a time. */
  readonly #busy = new Set<Source>()

  constructor(options: PromotionOptions) {
    this.#options = options
    this.#triggers = new Triggers(options.projection)
    this.#retries = new Retries({ ...options, onDue: options.onRoom })
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

  /** Takes a run that has ended. */
  onRunEnded(run: Run): void {
    this.#triggers.onRunEnded(run)
  }

  /** Begins what can be begun now; O(1) when nothing is due. */
  run(wall: number): void {
    this.#promote('scheduled', this.#options.projection.dueScheduled(wall))
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
    if (due === noValues || this.#busy.has(from)) return
    const runs: Run[] = []
    for (const run of due) if (runs.push(run) === chunk) break
    if (runs.length === 0) return
    const { mutations, times, onPromoting } = this.#options
    let promoted: readonly Run[] = runs
    const change = mutations.transact((batch) => {
      if (batch.view.engine.paused) return 0
      const before = batch.view.latestSequence
      if (from === 'scheduled') promoted = leaveOutMissed(batch, runs, this.#options)
      promoteRuns(
        batch,
        promoted.map(({ id }) => id),
        from,
        times.now(),
      )
      return batch.view.latestSequence - before
    })
    promoted.forEach(onPromoting)
    void this.#follow(from, change)
  }

  #releaseTriggered(): void {
    if (this.#busy.has('triggered') || this.#triggers.isEmpty) return
    const { mutations, times } = this.#options
    const taken = this.#triggers.take()
    const change = mutations.transact((batch) => this.#triggers.release(batch, taken, times.now()))
    void this.#follow('triggered', change, () => this.#triggers.putBack(taken))
  }

  async #follow(source: Source, change: Promise<number>, undo: () => void = () => {}): Promise<void> {
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
    if (count > 0) this.#options.onRoom()
  }
}

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
    if (event.type !== 'run_state_changed' && event.type !== 'attempt_ended') return
    const { type, runId, newState } = event
    if (type === 'run_state_changed' && event.previousState === 'retry_wait') this.#forget(runId)
    if (newState !== 'retry_wait') return
    const run = this.#options.projection.run(runId)
    if (run?.state === 'retry_wait') this.#wait(run)
  }

  /** Runs whose delay is over, first come first. */
  due(): Iterable<Run> {
    return this.#due.size === 0 ? noValues : this.#runsDue()
  }

  /** Leaves no timer behind. */
  [Symbol.dispose](): void {
    for (const deadline of this.#waiting.values()) deadline[Symbol.dispose]()
    this.#waiting.clear()
  }

  *#runsDue(): Iterable<Run> {
    for (const runId of this.#due) {
      const run = this.#options.projection.run(runId)
      if (run !== undefined) yield run
    }
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
