import type { IdSource } from '../../base/ids.js'
import { nextTurn } from '../../base/promises.js'
import type { TaskEvent } from '../catalogue.js'
import type { RunId, SubscriptionId, TaskId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import { isTerminalRunState, type Run } from '../run.js'
import type { TaskProjection } from '../view.js'
import { fillWindow, isRepeating } from './cron-window.js'
import { FollowUpQueue, type FollowUpQueueOptions, nothing, type Step } from './follow-up-queue.js'
import { cancelRun, cancelTask, isOver, isResumptionPending, resumeRuns, suspendReasonOf } from './runs.js'
import { closeSpending, unreported } from './spending.js'
import { trigger } from './triggers.js'

/** Options and dependencies of {@link FollowUps}. */
export interface FollowUpOptions extends FollowUpQueueOptions {
  readonly projection: TaskProjection
  /** The time that commands are stamped with, in epoch milliseconds. */
  readonly now: () => number
  /** The time that decides which runs of a calendar are created. */
  readonly wall: () => number
  readonly ids: IdSource
}

/** How many tasks are read at a start before the event loop runs again. */
const tasksPerTurn = 4096

/**
 * Changes that follow from a durable change, as separate changes: a cancellation is passed down the tree, a failed
 * prerequisite cancels its dependents, a repeating task gets its next runs, and a replenished budget resumes what it
 * had suspended.
 *
 * Only records what is pending; the details are read from the projection when it runs. After a crash everything is read
 * from there, so nothing is lost.
 */
export class FollowUps implements Disposable {
  readonly #options: FollowUpOptions
  readonly #queue: FollowUpQueue
  /** How many lists of triggers were deferred so far; each is queued separately. */
  #deferrals = 0

  constructor(options: FollowUpOptions) {
    this.#options = options
    this.#queue = new FollowUpQueue(options)
  }

  /** Reads from the projection what is pending, and runs what can only be found at a start; O(tasks), once. */
  async recover(): Promise<void> {
    const { projection } = this.#options
    this.#queueResumptions(
      'shutdown',
      [...projection.runsIn('suspended')].filter((run) => suspendReasonOf(run) === 'shutdown'),
    )
    this.#queueSettlements()
    await this.#queue.run()
    let read = 0
    for (const { spec, cancelledAtMs, progress } of projection.tasks()) {
      if (cancelledAtMs !== undefined) this.#queueBelow(spec.id)
      else if (progress.open > 0 && projection.dependencyGate(spec.id) === 'failed') this.#queueGate(spec.id)
      if (isRepeating(spec)) this.#queueWindow(spec.id)
      if (++read % tasksPerTurn === 0) await nextTurn()
    }
    this.#queueReplenished()
  }

  /** Records what follows from an event; O(1). */
  observe(event: TaskEvent): void {
    switch (event.type) {
      case 'task_created':
        if (isRepeating(event.taskSpec)) this.#queueWindow(event.taskSpec.id)
        return
      case 'task_cancelled':
        this.#queueBelow(event.taskId)
        return this.#queueDependents(event.taskId)
      case 'dependency_declared':
        return this.#queueGate(event.taskId)
      case 'budget_replenished':
        return this.#queueReplenished()
      default:
        return
    }
  }

  /** Queues triggers that did not fit the change that caused them; a crash before they run loses them. */
  queueTriggers(triggers: readonly SubscriptionId[]): void {
    const { now } = this.#options
    this.#deferrals += 1
    this.#queue.enqueue(`trigger:${this.#deferrals}`, () =>
      triggers.map((subscriptionId) => (batch: TaskBatch) => void trigger(batch, [{ subscriptionId }], now())),
    )
    this.run()
  }

  /** Records what follows from the end of a run; O(1). */
  onRunEnded(run: Run): void {
    const { id, taskId, history } = run
    // The end of an attempt closes the reservations of steps; this run was cancelled between two attempts.
    if (history.at(-1)?.from !== 'running') this.#queueSettlementsOf(id)
    const task = this.#options.projection.task(taskId)
    if (task !== undefined && isRepeating(task.spec)) this.#queueWindow(taskId)
    this.#queueDependents(taskId)
  }

  /** Starts running what is pending. */
  run(): void {
    void this.#queue.run()
  }

  [Symbol.dispose](): void {
    this.#queue[Symbol.dispose]()
  }

  #queueBelow(taskId: TaskId): void {
    const { projection } = this.#options
    const [child] = projection.children(taskId)
    if (child === undefined && projection.task(taskId)?.progress.open === 0) return
    this.#queue.enqueue(`cancel_below:${taskId}`, () => this.#cancelBelow(taskId))
  }

  /** The task's own runs and the nearest open descendants, which pass the cancellation on (T-93). */
  *#cancelBelow(taskId: TaskId): Iterable<Step> {
    const { projection } = this.#options
    yield* this.#cancelOpenRuns(taskId)
    for (const below of openBelow(projection, taskId)) {
      yield below === undefined ? nothing : (batch) => this.#cancelOneBelow(batch, below)
    }
  }

  #cancelOneBelow(batch: TaskBatch, taskId: TaskId): void {
    // A child that ended meanwhile, for instance because of a prerequisite, will not pass the cancellation on.
    if (isOver(batch.view, taskId)) this.#queueBelow(taskId)
    else cancelTask(batch, taskId, this.#options.now())
  }

  #queueGate(taskId: TaskId): void {
    this.#queue.enqueue(`cancel_behind_gate:${taskId}`, () => this.#cancelBehindGate(taskId))
  }

  /** Queues one entry for all dependents of a task; they are looked up when it runs. */
  #queueDependents(taskId: TaskId): void {
    const { projection } = this.#options
    const task = projection.task(taskId)
    if (task === undefined || task.progress.open > 0 || task.progress.completed > 0) return
    if (!projection.hasDependents(taskId)) return
    this.#queue.enqueue(`cancel_dependents:${taskId}`, () => this.#cancelDependents(taskId))
  }

  *#cancelDependents(taskId: TaskId): Iterable<Step> {
    for (const dependent of this.#options.projection.dependents(taskId)) yield* this.#cancelBehindGate(dependent)
  }

  *#cancelBehindGate(taskId: TaskId): Iterable<Step> {
    const { projection } = this.#options
    if (projection.dependencyGate(taskId) === 'failed') yield* this.#cancelOpenRuns(taskId)
    else yield nothing
  }

  *#cancelOpenRuns(taskId: TaskId): Iterable<Step> {
    const { projection, now } = this.#options
    if ((projection.task(taskId)?.progress.open ?? 0) === 0) return yield nothing
    for (const { id, state } of projection.runsOf(taskId)) {
      yield isTerminalRunState(state) ? nothing : (batch) => cancelRun(batch, id, now())
    }
  }

  #queueWindow(taskId: TaskId): void {
    const { projection, wall, ids } = this.#options
    this.#queue.enqueue(`fill_window:${taskId}`, () => [(batch) => fillWindow(batch, projection, taskId, wall(), ids)])
  }

  #queueReplenished(): void {
    this.#queue.enqueue('resume_replenished', () => this.#resumeReplenished())
  }

  *#resumeReplenished(): Iterable<Step> {
    const { projection, now } = this.#options
    const suspended = [...projection.runsIn('suspended')]
    for (const run of suspended) {
      yield isResumptionPending(projection, run) ? (batch) => resumeRuns(batch, [run.id], now()) : nothing
    }
  }

  #queueResumptions(reason: string, runs: readonly { readonly id: RunId }[]): void {
    const { now } = this.#options
    const steps = runs.map(
      ({ id }) =>
        (batch: TaskBatch) =>
          resumeRuns(batch, [id], now()),
    )
    if (steps.length > 0) this.#queue.enqueue(`resume:${reason}`, () => steps)
  }

  #queueSettlementsOf(runId: RunId): void {
    const { projection, now } = this.#options
    const open = Array.from(projection.reservationsOf(runId))
    if (open.length === 0) return
    this.#queue.enqueue(`settle:${runId}`, () =>
      open.map(({ reservationId, taskId }) => (batch: TaskBatch) => {
        closeSpending(batch, taskId, unreported([reservationId]), 'spent', now())
      }),
    )
  }

  /** Runs cancelled while running may have left reservations; what their workers spent is unknown. */
  #queueSettlements(): void {
    const { projection, now } = this.#options
    const steps: Step[] = []
    for (const { reservationId, runId, taskId } of projection.reservations()) {
      if (runId === undefined || !isTerminalRunState(projection.run(runId)?.state ?? 'running')) continue
      steps.push((batch) => void closeSpending(batch, taskId, unreported([reservationId]), 'spent', now()))
    }
    if (steps.length > 0) this.#queue.enqueue('settle_cancelled', () => steps)
  }
}

/** The nearest descendants that are not over; an ended task may still have open children. */
function* openBelow(
  projection: Pick<TaskProjection, 'task' | 'children'>,
  taskId: TaskId,
): Iterable<TaskId | undefined> {
  for (const child of projection.children(taskId)) {
    if (!isOver(projection, child)) {
      yield child
    } else {
      yield undefined
      yield* openBelow(projection, child)
    }
  }
}
