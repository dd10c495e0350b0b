import { messageOf } from '../../base/errors.js'
import type { IdSource } from '../../base/ids.js'
import type { Logger } from '../../base/logger.js'
import { isRefusal } from '../errors.js'
import type { TaskEvent } from '../events.js'
import type { ReservationId, RunId, TaskId } from '../ids.js'
import type { TaskBatch, TaskMutations } from '../mutations.js'
import { hasEnded } from '../phase.js'
import { isTerminalRunState } from '../run.js'
import type { Timestamp } from '../scalars.js'
import type { TaskProjection } from '../view.js'
import { fillCronWindow } from './occurrences.js'
import { cancelRuns, resumeRuns, suspendReasonOf } from './run-batches.js'
import { closeSpending, unreported } from './spending.js'

/** What follow-ups are built on. */
export interface FollowUpOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly now: () => Timestamp
  readonly ids: IdSource
  readonly logger: Logger
  /** Hears of a debt that could not be paid because the lane failed; it stays owed. */
  readonly onDelay: () => void
}

const kinds = ['cancel_below', 'cancel_behind_gate', 'fill_cron_window'] as const
type Debt = (typeof kinds)[number]

/** Runs resumed in one batch. */
const resumeChunk = 256

/**
 * What one durable change owes another: cancelation goes down the tree, a failed prerequisite cancels what waits for
 * it, a cron task gets its next runs.
 *
 * Debts are noted from events and paid in batches of their own; after a crash they are read off the projection again,
 * so that none is lost.
 */
export class FollowUps {
  readonly #options: FollowUpOptions
  readonly #debts: Readonly<Record<Debt, Set<TaskId>>> = {
    cancel_below: new Set(),
    cancel_behind_gate: new Set(),
    fill_cron_window: new Set(),
  }

  constructor(options: FollowUpOptions) {
    this.#options = options
  }

  /** Reads what is owed off the projection and pays what only a start can owe; O(tasks), once. */
  async recover(): Promise<void> {
    const { projection } = this.#options
    for (const { spec, canceledAt, progress } of projection.tasks()) {
      if (canceledAt !== undefined) this.#debts.cancel_below.add(spec.id)
      else if (progress.open > 0 && projection.dependencyGate(spec.id) === 'failed') {
        this.#debts.cancel_behind_gate.add(spec.id)
      }
      if (spec.runPolicy.type === 'cron') this.#debts.fill_cron_window.add(spec.id)
    }
    await Promise.all([this.#resumeAfterShutdown(), this.#settleCanceled()])
  }

  /** Notes what an event owes. */
  observe(event: TaskEvent): void {
    const { projection } = this.#options
    switch (event.type) {
      case 'task_created': {
        if (event.taskSpec.runPolicy.type === 'cron') this.#debts.fill_cron_window.add(event.taskSpec.id)
        return
      }
      case 'task_canceled':
        this.#debts.cancel_below.add(event.taskId)
        return this.#oweDependents(event.taskId)
      case 'run_state_changed':
      case 'run_canceled': {
        const run = projection.run(event.runId)
        if (run === undefined || !isTerminalRunState(run.state)) return
        if (projection.task(run.taskId)?.spec.runPolicy.type === 'cron') this.#debts.fill_cron_window.add(run.taskId)
        return this.#oweDependents(run.taskId)
      }
      case 'dependency_declared':
        this.#debts.cancel_behind_gate.add(event.taskId)
        return
      default:
        return
    }
  }

  /** Begins to pay every debt; one that meets a failing lane is owed again. */
  pay(): void {
    for (const kind of kinds) {
      const owed = this.#debts[kind]
      if (owed.size === 0) continue
      const taskIds = [...owed]
      owed.clear()
      for (const taskId of taskIds) void this.#pay(kind, taskId)
    }
  }

  async #pay(kind: Debt, taskId: TaskId): Promise<void> {
    try {
      await this.#payment(kind, taskId)
    } catch (failure) {
      const { logger, onDelay } = this.#options
      if (isRefusal(failure)) {
        logger.error({ kind, taskId, cause: messageOf(failure) }, 'what a change of a task owes was refused')
        return
      }
      this.#debts[kind].add(taskId)
      onDelay()
    }
  }

  #payment(kind: Debt, taskId: TaskId): Promise<void> | undefined {
    const { projection, mutations, now, ids } = this.#options
    const task = projection.task(taskId)
    if (task === undefined) return undefined
    switch (kind) {
      case 'cancel_below':
        return this.#cancelBelow(taskId)
      case 'cancel_behind_gate':
        if (task.progress.open === 0 || projection.dependencyGate(taskId) !== 'failed') return undefined
        return mutations.transact((batch) => cancelRuns(batch, batch.view.runsOf(taskId), now()))
      case 'fill_cron_window':
        return mutations.transact((batch) => fillCronWindow(batch, taskId, now(), ids))
    }
  }

  /** The task's own runs and the nearest open tasks below, which then owe the same (spec mutation authority 7.9). */
  #cancelBelow(taskId: TaskId): Promise<void> | undefined {
    const { projection, mutations, now } = this.#options
    const below = [...openBelow(projection, taskId)]
    if (projection.task(taskId)?.progress.open === 0 && below.length === 0) return undefined
    return mutations.transact((batch) => {
      cancelRuns(batch, batch.view.runsOf(taskId), now())
      for (const id of below) if (!isOver(batch.view, id)) cancelTask(batch, id, now())
    })
  }

  #oweDependents(taskId: TaskId): void {
    for (const dependent of this.#options.projection.dependents(taskId)) this.#debts.cancel_behind_gate.add(dependent)
  }

  async #resumeAfterShutdown(): Promise<void> {
    const { projection, mutations, now } = this.#options
    const waiting = [...projection.runsIn('suspended')].filter((run) => suspendReasonOf(run) === 'shutdown')
    const runIds: readonly RunId[] = waiting.map(({ id }) => id)
    for (let from = 0; from < runIds.length; from += resumeChunk) {
      await mutations.transact((batch) => resumeRuns(batch, runIds.slice(from, from + resumeChunk), now()))
    }
  }

  /** Runs canceled while they ran may have left reservations; what their workers spent is not known. */
  async #settleCanceled(): Promise<void> {
    const { projection, mutations, now } = this.#options
    const left = new Map<TaskId, ReservationId[]>()
    for (const { reservationId, runId, taskId } of projection.reservations()) {
      if (runId === undefined || !isTerminalRunState(projection.run(runId)?.state ?? 'running')) continue
      left.set(taskId, [...(left.get(taskId) ?? []), reservationId])
    }
    for (const [taskId, reservationIds] of left) {
      await mutations.transact((batch) => closeSpending(batch, taskId, unreported(reservationIds), 'spent', now()))
    }
  }
}

/** Cancels a task with its own runs; what is below it follows. */
export function cancelTask(batch: TaskBatch, taskId: TaskId, now: Timestamp): void {
  const task = batch.view.task(taskId)
  if (task === undefined) return
  const timestamp = Math.max(now, task.createdAt)
  if (task.canceledAt === undefined) batch.submit({ type: 'task_cancel', taskId, timestamp })
  cancelRuns(batch, batch.view.runsOf(taskId), timestamp)
}

/** True when nothing of the task itself is left to cancel. */
function isOver(view: Pick<TaskProjection, 'task'>, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task === undefined || hasEnded(task)
}

/** The nearest tasks below this one that are not over; what has ended may still have children that have not. */
function* openBelow(projection: Pick<TaskProjection, 'task' | 'children'>, taskId: TaskId): Iterable<TaskId> {
  for (const child of projection.children(taskId)) {
    if (isOver(projection, child)) yield* openBelow(projection, child)
    else yield child
  }
}
