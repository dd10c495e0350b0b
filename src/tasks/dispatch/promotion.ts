import type { Deadline, DeadlineQueue } from '../../base/deadline-queue.js'
import type { IdSource } from '../../base/ids.js'
import { noValues } from '../../base/multi-map.js'
import type { TaskEvent } from '../catalogue.js'
import type { RunId } from '../ids.js'
import type { TaskMutations } from '../authority.js'
import { retryDueAt, type Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import { leaveOutMissed, mayLeaveOut } from './missed-occurrences.js'
import { promoteRuns } from './runs.js'
import { restOf, type TaskClock } from './task-clock.js'
import { Triggers } from './triggers.js'

/** Options and dependencies of {@link Promotion}. */
export interface PromotionOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly times: TaskClock
  /** Since when occurrences are promoted on time, in epoch milliseconds. */
  readonly watchedSince: () => number
  readonly ids: IdSource
  /** True while a run has an attempt in this process. */
  readonly isAtWork: (runId: RunId) => boolean
  /** Called for every run that is due: it may start at once, whether its promotion is durable or not. */
  readonly onDue: (run: Run) => void
  /** Called when a batch has failed. */
  readonly onFailure: (failure: unknown) => void
  /** Called when the next batch may begin, and when a retry is due. */
  readonly onRoom: () => void
}

type Source = 'scheduled' | 'retry_wait' | 'triggered'

/** How many runs are promoted in one batch, so that a long downtime does not lead to one giant record. */
const chunk = 256

/**
 * Makes runs ready when their time or event has come (T-74, T-90).
 *
 * A run whose time has come is first put in line: if it can start at once, the event that begins its attempt makes it
 * ready as well (T-900). {@link Promotion.promoteRest} makes those ready that could not. The occurrences of a cron task
 * are promoted before they start, because some may be left out.
 */
export class Promotion implements Disposable {
  readonly #options: PromotionOptions
  readonly #triggers: Triggers
  readonly #retries: Retries
  /** Sources with a batch in flight; each has one at a time. */
  readonly #busy = new Set<Source>()
  /** Due runs that were put in line, until all that can start at once have been started. */
  #lot: readonly Run[] = []
  /** Runs of earlier lots whose first attempt may not be durable yet. */
  readonly #starting: Run[] = []
  #hasMore = false
  /** True if something was due while the lot before it was not yet over. */
  #isHeldUp = false

  constructor(options: PromotionOptions) {
    this.#options = options
    this.#triggers = new Triggers(options.projection)
    this.#retries = new Retries({ ...options, onDue: options.onRoom })
  }

  /** Reads from the projection what an earlier process left pending. */
  recover(): void {
    this.#triggers.recover()
    this.#retries.recover()
  }

  /** Handles a durable event. */
  observe(event: TaskEvent): void {
    this.#triggers.observe(event)
    this.#retries.observe(event)
  }

  /** Handles the end of a run. */
  onRunEnded(run: Run): void {
    this.#triggers.onRunEnded(run)
  }

  /** True if more is due than was put in line in the last pass. */
  get hasMore(): boolean {
    return this.#hasMore
  }

  /** Puts in line what is due, and makes ready what cannot start before; O(1) when nothing is due. */
  run(wall: number): void {
    this.#lineUp(wall)
    this.#promote('retry_wait', this.#retries.due())
    this.#releaseTriggered()
  }

  /** Makes those runs ready that were put in line and could not start. What became due meanwhile comes next. */
  promoteRest(): void {
    if (this.#lot.length === 0) return
    const { projection, isAtWork, onRoom } = this.#options
    const rest: Run[] = []
    for (const run of this.#lot) {
      if (isAtWork(run.id)) this.#starting.push(run)
      // Over several turns of the loop, some may have begun and even ended.
      else if (projection.run(run.id)?.state === 'scheduled') rest.push(run)
    }
    this.#lot = []
    this.#promote('scheduled', rest)
    if (this.#isHeldUp) onRoom()
    this.#isHeldUp = false
  }

  /** When the calendar next has something to promote, in epoch milliseconds. Retries have timers of their own. */
  nextDueAt(): number | undefined {
    return this.#options.projection.nextScheduledAtMs()
  }

  /** Clears its timers. */
  [Symbol.dispose](): void {
    this.#retries[Symbol.dispose]()
  }

  #lineUp(wall: number): void {
    const { projection, onDue } = this.#options
    const due = projection.dueScheduled(wall)
    this.#hasMore = due !== noValues
    if (this.#hasMore && this.#lot.length > 0) this.#isHeldUp = true
    // The next lot is read from durable state.
    if (due === noValues || this.#lot.length > 0 || this.#busy.has('scheduled') || this.#isStarting()) return
    this.#hasMore = false
    const toPromote: Run[] = []
    const lot: Run[] = []
    for (const run of due) {
      const promotedFirst = mayLeaveOut(projection.task(run.taskId))
      this.#hasMore = (promotedFirst ? toPromote : lot).push(run) === chunk
      if (this.#hasMore) break
    }
    this.#promote('scheduled', toPromote)
    lot.forEach(onDue)
    this.#lot = lot
  }

  #isStarting(): boolean {
    const { projection, isAtWork } = this.#options
    for (let run = this.#starting.at(-1); run !== undefined; run = this.#starting.at(-1)) {
      if (isAtWork(run.id) && projection.run(run.id)?.state === 'scheduled') return true
      this.#starting.pop()
    }
    return false
  }

  #promote(from: 'scheduled' | 'retry_wait', due: Iterable<Run>): void {
    if (due === noValues || this.#busy.has(from)) return
    const runs: Run[] = []
    for (const run of due) if (runs.push(run) === chunk) break
    if (runs.length === 0) return
    const { mutations, times, onDue } = this.#options
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
    promoted.forEach(onDue)
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
    // A batch that changed nothing met changes in flight; their commit calls again.
    if (count > 0) this.#options.onRoom()
  }
}

/** Options of {@link Retries}. */
export interface RetriesOptions {
  readonly projection: TaskProjection
  readonly deadlines: DeadlineQueue
  readonly times: TaskClock
  /** Called when the delay of a run is over. */
  readonly onDue: () => void
}

/**
 * Runs that wait for their next attempt. Delays are measured by the monotonic clock, so setting the wall clock does not
 * change them. After a restart, the rest of a delay is computed from the wall clock.
 */
export class Retries implements Disposable {
  readonly #options: RetriesOptions
  readonly #waiting = new Map<RunId, Deadline>()
  /** Runs whose delay is over, in that order; they stay until their promotion is durable. */
  readonly #due = new Set<RunId>()

  constructor(options: RetriesOptions) {
    this.#options = options
  }

  /** Starts the timers of runs that are already waiting. */
  recover(): void {
    for (const run of this.#options.projection.runsIn('retry_wait')) this.#wait(run)
  }

  /** Handles a durable event. */
  observe(event: TaskEvent): void {
    if (event.type !== 'run_state_changed' && event.type !== 'attempt_ended') return
    const { type, runId, newState } = event
    if (type === 'run_state_changed' && event.previousState === 'retry_wait') this.#forget(runId)
    if (newState !== 'retry_wait') return
    const run = this.#options.projection.run(runId)
    if (run?.state === 'retry_wait') this.#wait(run)
  }

  /** Runs whose delay is over, first come, first served. */
  due(): Iterable<Run> {
    return this.#due.size === 0 ? noValues : this.#runsDue()
  }

  /** Clears its timers. */
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
