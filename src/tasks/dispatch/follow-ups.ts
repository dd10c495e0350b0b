import type { IdSource } from '../../base/ids.js'
import { nextTurn } from '../../base/promises.js'
import type { TaskEvent } from '../events.js'
import type { RunId, TaskId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import { isTerminalRunState } from '../run.js'
import type { TaskProjection } from '../view.js'
import { fillWindow, isRepeating } from './occurrences.js'
import { nothing, OwedWork, type OwedWorkOptions, type Step } from './owed-work.js'
import { isOwedResumption, resumeRuns, suspendReasonOf } from './run-batches.js'
import { cancelRun, cancelTask, isOver } from './cancellation.js'
import { closeSpending, unreported } from './spending.js'

/** What follow-ups are built on. */
export interface FollowUpOptions extends OwedWorkOptions {
  readonly projection: TaskProjection
  /** What commands are stamped with. */
  readonly now: () => number
  /** What the runs of a calendar are made by. */
  readonly wall: () => number
  readonly ids: IdSource
}

/** Tasks read at a start before the event loop runs again. */
const tasksPerTurn = 4096

/**
 * What one durable change owes another: cancellation goes down the tree, a failed prerequisite cancels what waits for
 * it, a repeating task gets its next runs, a replenished budget lets go on what it had suspended.
 *
 * Notes only who owes what; the rest is read off the projection while it is paid. So is everything after a crash: none
 * is lost.
 */
export class FollowUps implements Disposable {
  readonly #options: FollowUpOptions
  readonly #owed: OwedWork

  constructor(options: FollowUpOptions) {
    this.#options = options
    this.#owed = new OwedWork(options)
  }

  /** Reads what is owed off the projection and pays what only a start can owe; O(tasks), once. */
  async recover(): Promise<void> {
    const { projection } = this.#options
    this.#oweResumptions(
      'shutdown',
      [...projection.runsIn('suspended')].filter((run) => suspendReasonOf(run) === 'shutdown'),
    )
    this.#oweSettlements()
    await this.#owed.pay()
    let read = 0
    for (const { spec, cancelledAtMs, progress } of projection.tasks()) {
      if (cancelledAtMs !== undefined) this.#oweBelow(spec.id)
      else if (progress.open > 0 && projection.dependencyGate(spec.id) === 'failed') this.#oweGate(spec.id)
      if (isRepeating(spec)) this.#oweWindow(spec.id)
      if (++read % tasksPerTurn === 0) await nextTurn()
    }
    this.#oweReplenished()
  }

  /** Notes what an event owes; O(1). */
  observe(event: TaskEvent): void {
    const { projection } = this.#options
    switch (event.type) {
      case 'task_created':
        if (isRepeating(event.taskSpec)) this.#oweWindow(event.taskSpec.id)
        return
      case 'task_cancelled':
        this.#oweBelow(event.taskId)
        return this.#oweDependents(event.taskId)
      case 'run_state_changed':
      case 'run_cancelled': {
        const run = projection.run(event.runId)
        if (run === undefined || !isTerminalRunState(run.state)) return
        const task = projection.task(run.taskId)
        if (task !== undefined && isRepeating(task.spec)) this.#oweWindow(run.taskId)
        return this.#oweDependents(run.taskId)
      }
      case 'dependency_declared':
        return this.#oweGate(event.taskId)
      case 'budget_replenished':
        return this.#oweReplenished()
      default:
        return
    }
  }

  /** Begins to pay what is owed. */
  pay(): void {
    void this.#owed.pay()
  }

  [Symbol.dispose](): void {
    this.#owed[Symbol.dispose]()
  }

  #oweBelow(taskId: TaskId): void {
    const { projection } = this.#options
    const [child] = projection.children(taskId)
    if (child === undefined && projection.task(taskId)?.progress.open === 0) return
    this.#owed.owe(`cancel_below:${taskId}`, () => this.#cancelBelow(taskId))
  }

  /** The task's own runs and the nearest open tasks below, which then owe the same (spec mutation authority 7.9). */
  *#cancelBelow(taskId: TaskId): Iterable<Step> {
    const { projection } = this.#options
    yield* this.#cancelOpenRuns(taskId)
    for (const below of openBelow(projection, taskId)) {
      yield below === undefined ? nothing : (batch) => this.#cancelOneBelow(batch, below)
    }
  }

  #cancelOneBelow(batch: TaskBatch, taskId: TaskId): void {
    // What has ended under way, because of a prerequisite for instance, will not pass the cancellation on by an event.
    if (isOver(batch.view, taskId)) this.#oweBelow(taskId)
    else cancelTask(batch, taskId, this.#options.now())
  }

  #oweGate(taskId: TaskId): void {
    this.#owed.owe(`cancel_behind_gate:${taskId}`, () => this.#cancelBehindGate(taskId))
  }

  /** One note for all that wait for a task, as many as they are; they are looked up while it is paid. */
  #oweDependents(taskId: TaskId): void {
    const { projection } = this.#options
    const task = projection.task(taskId)
    if (task === undefined || task.progress.open > 0 || task.progress.completed > 0) return
    if (!projection.hasDependents(taskId)) return
    this.#owed.owe(`cancel_dependents:${taskId}`, () => this.#cancelDependents(taskId))
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

  #oweWindow(taskId: TaskId): void {
    const { projection, wall, ids } = this.#options
    this.#owed.owe(`fill_window:${taskId}`, () => [(batch) => fillWindow(batch, projection, taskId, wall(), ids)])
  }

  #oweReplenished(): void {
    this.#owed.owe('resume_replenished', () => this.#resumeReplenished())
  }

  *#resumeReplenished(): Iterable<Step> {
    const { projection, now } = this.#options
    const suspended = [...projection.runsIn('suspended')]
    for (const run of suspended) {
      yield isOwedResumption(projection, run) ? (batch) => resumeRuns(batch, [run.id], now()) : nothing
    }
  }

  #oweResumptions(reason: string, runs: readonly { readonly id: RunId }[]): void {
    const { now } = this.#options
    const steps = runs.map(
      ({ id }) =>
        (batch: TaskBatch) =>
          resumeRuns(batch, [id], now()),
    )
    if (steps.length > 0) this.#owed.owe(`resume:${reason}`, () => steps)
  }

  /** Runs cancelled while they ran may have left reservations; what their workers spent is not known. */
  #oweSettlements(): void {
    const { projection, now } = this.#options
    const steps: Step[] = []
    for (const { reservationId, runId, taskId } of projection.reservations()) {
      if (runId === undefined || !isTerminalRunState(projection.run(runId)?.state ?? 'running')) continue
      steps.push((batch) => void closeSpending(batch, taskId, unreported([reservationId]), 'spent', now()))
    }
    if (steps.length > 0) this.#owed.owe('settle_cancelled', () => steps)
  }
}

/** The nearest tasks below this one that are not over; what has ended may still have children that have not. */
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
