import { createActor } from 'xstate'
import { ChartTable, type Place } from '../../machines/chart-table.js'
import { jobMachine, type JobActor, type JobEvent, type JobState } from '../../machines/job.js'
import type { Clock } from '../base/clock.js'
import type { Deadline, DeadlineQueue } from '../base/deadline-queue.js'
import { followRoot, isWatched, type Inspect } from '../base/inspection.js'
import { abortable, createDeferred, type Deferred } from '../base/promises.js'
import type { JobInfo, JobList, JobProgress } from './job-list.js'
import type { Slot } from './slot.js'

/** Options of a {@link Job}. `Cause` names the reasons for which it may be told to stop. */
export interface JobOptions<Cause extends string> {
  /** Unique within its room: the id of an operation, an attempt, or a run of a process. */
  readonly id: string
  /** The room that the job belongs to. */
  readonly room: string
  /** The kind of work; a low-cardinality name. */
  readonly kind: string
  readonly displayName: string
  /** The session, task or process that it is done for. */
  readonly owner?: string
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  /** The list of running jobs. */
  readonly jobs: JobList
  /** Creates the abort reason of its signal from the cause. Only called if the signal is read. */
  readonly reasonOf: (cause: Cause) => unknown
  /** Milliseconds of work, waits not counted, after which it is told to stop with `timeoutCause`. */
  readonly timeoutMs?: number
  readonly timeoutCause?: Cause
  /** Called on timeout instead of telling the job to stop, for an owner that has to do something first. */
  readonly onTimeout?: () => void
  /** Milliseconds that a job has to end after it was told to stop. Absent: no limit. */
  readonly graceMs?: number
  /** Given back while the job waits. */
  readonly slot?: Pick<Slot, 'giveBack' | 'takeAgain'>
  /**
   * Called with true when the job does nothing but wait, and again when one of several waits has ended; with false
   * when it continues. Must not throw.
   */
  readonly onWaiting?: (isWaiting: boolean) => void
  readonly inspect?: Inspect
}

/** How a job ended. */
export interface JobEnd<Cause extends string> {
  /** What its function did; `none` if it was told to stop and did not end in time. */
  readonly answer:
    | { readonly type: 'returned'; readonly value: unknown }
    | { readonly type: 'threw'; readonly thrown: unknown }
    | { readonly type: 'none' }
  /** Why it had been told to stop, if it had. */
  readonly stopCause: Cause | undefined
}

const chart = new ChartTable(jobMachine)

/**
 * One function running for one owner: an operation, an attempt of a task, a run of a process, a daemon.
 *
 * It has a signal that aborts when it is told to stop, and another that asks it to wind down; each is created when it
 * is first read. It may have a time limit, which does not advance while it waits, and a slot, which it gives back
 * meanwhile. After being told to stop it has a grace period to end. After that it is no longer waited for, and is
 * listed as left behind until its code has really ended. What it returned or threw is passed to its owner unchanged;
 * the owner decides what it means and how it becomes durable (see `until-durable.ts`).
 *
 *     const job = new Job({ id, room: 'tasks', kind: 'report', timeoutMs: 60_000, timeoutCause: 'timeout', graceMs: 250, ... })
 *     const { answer, stopCause } = await job.run(() => handler(context))
 */
export class Job<Cause extends string = string> {
  readonly #options: JobOptions<Cause>
  readonly #startedAtMs: number
  readonly #actor: JobActor | undefined
  #onEnd: (end: JobEnd<Cause>) => void = () => {}
  #finished: Deferred<void> | undefined
  #progress: JobProgress | undefined
  #place: Place<typeof jobMachine>
  #abort: AbortController | undefined
  #retire: AbortController | undefined
  #isRetiring = false
  #stopCause: Cause | undefined
  #timeout: Deadline | undefined
  #grace: Deadline | undefined
  /** Remaining milliseconds of its time limit. */
  #left: number | undefined
  /** Waits in progress, and steps in progress, during which waits do not count. */
  #waits = 0
  #steps = 0
  #returning: Promise<void> | undefined

  constructor(options: JobOptions<Cause>) {
    const { id, kind, displayName, clock, inspect, timeoutMs } = options
    this.#options = options
    this.#startedAtMs = Math.trunc(clock.wallNow())
    this.#left = timeoutMs
    const context = { id, kind, displayName }
    this.#place = { value: 'working', context }
    if (!isWatched(inspect)) return
    this.#actor = createActor(jobMachine, { id: `job ${id}`, input: context, clock, ...(inspect && { inspect }) })
    followRoot(inspect, this.#actor)
    this.#actor.start()
  }

  get id(): string {
    return this.#options.id
  }

  get room(): string {
    return this.#options.room
  }

  get state(): JobState {
    return this.#place.value
  }

  /** Number of steps in progress; see {@link Job.step}. */
  get stepCount(): number {
    return this.#steps
  }

  get info(): JobInfo {
    const { id, room, kind, displayName, owner } = this.#options
    const progress = this.#progress
    return {
      id,
      room,
      kind,
      displayName,
      ...(owner !== undefined && { owner }),
      state: this.state,
      ...(progress !== undefined && { progress }),
      startedAtMs: this.#startedAtMs,
    }
  }

  /** Aborts when the job is told to stop. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#stopCause !== undefined) this.#abort.abort(this.#options.reasonOf(this.#stopCause))
    }
    return this.#abort.signal
  }

  /** Aborts when the job is asked to wind down. It may still end normally. */
  get retiring(): AbortSignal {
    if (this.#retire === undefined) {
      this.#retire = new AbortController()
      if (this.#isRetiring) this.#retire.abort()
    }
    return this.#retire.signal
  }

  /** Resolves when its code has really ended, which may be long after it was left behind. */
  get finished(): Promise<void> {
    if (this.#finished === undefined) {
      this.#finished = createDeferred<void>()
      if (this.state === 'ended') this.#finished.resolve()
    }
    return this.#finished.promise
  }

  /**
   * Calls the function at once. Resolves when it has ended or has been left behind; never rejects. Must be called
   * only once.
   */
  run(work: () => unknown): Promise<JobEnd<Cause>> {
    return new Promise((resolve) => this.start(work, resolve))
  }

  /**
   * Like {@link run}, with a callback instead of a promise, for owners of very many jobs. The callback must not
   * throw.
   */
  start(work: () => unknown, onEnd: (end: JobEnd<Cause>) => void): void {
    this.#onEnd = onEnd
    this.#options.jobs.add(this)
    this.#startTime()
    this.#call(work)
  }

  /** Sets the progress that the list of jobs shows. */
  reportProgress(progress: JobProgress): void {
    this.#progress = progress
  }

  /** Asks it to wind down. */
  windDown(): void {
    this.#isRetiring = true
    this.#retire?.abort()
  }

  /**
   * Tells it to stop, optionally with a different grace period. The first cause counts. Does nothing for a job that
   * has ended.
   */
  stop(cause: Cause, graceMs: number | undefined = this.#options.graceMs): void {
    if (!this.#send({ type: 'stop', cause })) return
    this.#stopCause = cause
    this.#stopTime()
    const { deadlines, reasonOf } = this.#options
    if (graceMs !== undefined) this.#grace = deadlines.after(graceMs, () => this.#leaveBehind())
    this.#abort?.abort(reasonOf(cause))
  }

  /**
   * Waits for something outside. Meanwhile its time limit does not advance and its slot is given back. The result is
   * passed on once the slot has been taken again. Several waits may be in progress at once; the job counts as waiting
   * while it does nothing else. Rejects with what `outside` rejects with, and with the reason of its signal when it
   * is told to stop.
   */
  async wait<Result>(outside: () => Promise<Result>): Promise<Result> {
    this.#waits += 1
    try {
      // Called first, so that `onWaiting` can already see what the job waits for.
      const answer = outside()
      void this.#update()
      return await abortable(answer, this.signal)
    } finally {
      this.#waits -= 1
      if (this.#waits > 0 && this.state === 'waiting') this.#options.onWaiting?.(true)
      await this.#update()
    }
  }

  /** Runs work during which waits of the job do not count: it keeps its slot. */
  async step<Result>(work: () => Result | PromiseLike<Result>): Promise<Result> {
    this.#steps += 1
    await this.#update()
    try {
      return await work()
    } finally {
      this.#steps -= 1
      void this.#update()
    }
  }

  #call(work: () => unknown): void {
    let answer: JobEnd<Cause>['answer']
    try {
      const value = work()
      if (isThenable(value)) {
        Promise.resolve(value).then(
          (returned) => this.#finish({ type: 'returned', value: returned }),
          (thrown: unknown) => this.#finish({ type: 'threw', thrown }),
        )
        return
      }
      answer = { type: 'returned', value }
    } catch (thrown) {
      answer = { type: 'threw', thrown }
    }
    this.#finish(answer)
  }

  /** Its code has ended. If it had been left behind, its owner has its answer already. */
  #finish(answer: JobEnd<Cause>['answer']): void {
    const isAnswered = this.state === 'left_behind'
    this.#send({ type: 'end' })
    this.#options.jobs.delete(this)
    this.#finished?.resolve()
    if (!isAnswered) this.#answer(answer)
  }

  #answer(answer: JobEnd<Cause>['answer']): void {
    this.#stopTime()
    this.#grace?.[Symbol.dispose]()
    this.#onEnd({ answer, stopCause: this.#stopCause })
  }

  #leaveBehind(): void {
    if (this.#send({ type: 'leave_behind' })) this.#answer({ type: 'none' })
  }

  /** Starts waiting when the job does nothing else, and resumes work when it does. */
  #update(): Promise<void> | undefined {
    const { slot, onWaiting } = this.#options
    if (this.#waits > 0 && this.#steps === 0) {
      if (this.#returning === undefined && this.#send({ type: 'wait' })) {
        this.#stopTime()
        slot?.giveBack()
        onWaiting?.(true)
      }
      return undefined
    }
    if (this.state !== 'waiting') return this.#returning
    this.#returning ??= this.#goOn(slot)
    return this.#returning
  }

  async #goOn(slot: JobOptions<Cause>['slot']): Promise<void> {
    try {
      await slot?.takeAgain({ signal: this.signal })
    } catch {
      // It was told to stop, or the slots are closed. The signal tells the function, which needs no slot to end.
    }
    this.#returning = undefined
    if (this.#send({ type: 'go_on' })) {
      this.#startTime()
      this.#options.onWaiting?.(false)
    }
    // It may already do nothing but wait again.
    void this.#update()
  }

  #startTime(): void {
    const { clock, deadlines } = this.#options
    const left = this.#left
    if (left === undefined || this.state !== 'working') return
    const startedAt = clock.monotonicNow()
    const deadline = deadlines.after(left, () => this.#onTimeout())
    this.#timeout = {
      dueAt: deadline.dueAt,
      [Symbol.dispose]: () => {
        deadline[Symbol.dispose]()
        this.#left = left - (clock.monotonicNow() - startedAt)
      },
    }
  }

  #onTimeout(): void {
    const { timeoutCause, onTimeout } = this.#options
    if (onTimeout !== undefined) onTimeout()
    else if (timeoutCause !== undefined) this.stop(timeoutCause)
  }

  #stopTime(): void {
    this.#timeout?.[Symbol.dispose]()
    this.#timeout = undefined
  }

  /** False if the chart refuses the event, because the job has already moved on. */
  #send(event: JobEvent): boolean {
    const next = chart.move(this.#place, event)
    if (next === undefined) return false
    this.#place = next
    this.#actor?.send(event)
    return true
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return typeof (value as Partial<PromiseLike<unknown>>).then === 'function'
}
