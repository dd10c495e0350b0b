import type { IdSource } from '../../base/ids.js'
import type { TaskEvent } from '../events.js'
import type { RunId, TaskId } from '../ids.js'
import type { TaskMutations } from '../mutations.js'
import { isTerminalRunState, type Run } from '../run.js'
import type { Timestamp } from '../scalars.js'
import type { TaskProjection } from '../view.js'
import { cancelRuns } from './batches.js'
import { cronRuns } from './occurrences.js'

/** What follow-ups are built on. */
export interface FollowUpOptions {
  readonly mutations: TaskMutations
  readonly projection: TaskProjection
  readonly now: () => Timestamp
  readonly ids: IdSource
}

type Debt = 'cancel_tree' | 'check_gate' | 'fill_cron_window' | 'resume_budget'

/**
 * What one durable change owes another: cancelation goes down the tree, a failed prerequisite cancels
 * what waits for it, a cron task gets its next runs, a raised budget lets suspended runs go on.
 *
 * Debts are noted from events and paid in batches of their own; after a crash they are read off the
 * projection again, so that none is lost.
 */
export class FollowUps {
  readonly #options: FollowUpOptions
  readonly #debts = new Map<Debt, Set<TaskId>>()
  /** Latest time each cron task has a run for. */
  readonly #lastOccurrence = new Map<TaskId, Timestamp>()
  #resumesAfterShutdown: RunId[] = []

  constructor(options: FollowUpOptions) {
    this.#options = options
  }

  /** Reads what is owed off the projection: once, when a dispatcher starts. */
  recover(): void {
    const { projection } = this.#options
    for (const { spec, canceledAt, progress } of projection.tasks()) {
      if (canceledAt !== undefined) this.#owe('cancel_tree', spec.id)
      else if (progress.open > 0 && projection.dependencyGate(spec.id) === 'failed') this.#owe('check_gate', spec.id)
      if (spec.runPolicy.type === 'cron') this.#owe('fill_cron_window', spec.id)
    }
    this.#resumesAfterShutdown = [...projection.runsIn('suspended')]
      .filter((run) => lastReason(run) === 'shutdown')
      .map(({ id }) => id)
  }

  /** Notes what an event owes. */
  observe(event: TaskEvent): void {
    const { projection } = this.#options
    switch (event.type) {
      case 'task_canceled':
        return this.#owe('cancel_tree', event.taskId)
      case 'task_created': {
        const { id, parentTaskId, runPolicy } = event.taskSpec
        if (runPolicy.type === 'cron') this.#owe('fill_cron_window', id)
        // Submitted while its parent was being canceled: the cascade had passed already.
        if (parentTaskId !== undefined && projection.task(parentTaskId)?.canceledAt !== undefined) {
          this.#owe('cancel_tree', parentTaskId)
        }
        return
      }
      case 'run_state_changed':
      case 'run_canceled': {
        const run = projection.run(event.runId)
        if (run === undefined || !isTerminalRunState(run.state)) return
        this.#owe('fill_cron_window', run.taskId)
        for (const dependent of projection.dependents(run.taskId)) this.#owe('check_gate', dependent)
        return
      }
      case 'dependency_declared':
        return this.#owe('check_gate', event.taskId)
      case 'budget_replenished':
        return this.#owe('resume_budget', event.taskId)
      default:
        return
    }
  }

  /** Pays every debt; those that could not be paid are owed again, and the first failure is thrown. */
  async pay(): Promise<void> {
    await this.#each('cancel_tree', (taskId) => this.#cancelTree(taskId))
    await this.#each('check_gate', (taskId) => this.#cancelBehindFailedGate(taskId))
    await this.#each('fill_cron_window', (taskId) => this.#fillCronWindow(taskId))
    await this.#each('resume_budget', (taskId) => this.#resumeBelow(taskId))
    if (this.#resumesAfterShutdown.length === 0) return
    await this.#resume(this.#resumesAfterShutdown)
    this.#resumesAfterShutdown = []
  }

  #owe(debt: Debt, taskId: TaskId): void {
    let owed = this.#debts.get(debt)
    if (owed === undefined) this.#debts.set(debt, (owed = new Set()))
    owed.add(taskId)
  }

  async #each(debt: Debt, payOne: (taskId: TaskId) => Promise<void> | undefined): Promise<void> {
    const owed = this.#debts.get(debt)
    for (const taskId of owed ?? []) {
      owed?.delete(taskId)
      try {
        await payOne(taskId)
      } catch (failure) {
        owed?.add(taskId)
        throw failure
      }
    }
  }

  /** The task's own runs, and every task below it (spec mutation authority 7.9). Settles to nothing when repeated. */
  #cancelTree(taskId: TaskId): Promise<void> | undefined {
    const { projection, mutations, now } = this.#options
    const tree = [...this.#descendants(taskId)]
    const isDone = tree.every((id) => isCanceledWhole(projection, id))
    if (isDone) return undefined
    return mutations.transact((batch) => {
      for (const id of tree) {
        const task = batch.view.task(id)
        if (task === undefined || (task.progress.runs > 0 && task.progress.open === 0)) continue
        const timestamp = Math.max(now(), task.createdAt)
        if (task.canceledAt === undefined) batch.submit({ type: 'task_cancel', taskId: id, timestamp })
        cancelRuns(batch, batch.view.runsOf(id), timestamp)
      }
    })
  }

  #cancelBehindFailedGate(taskId: TaskId): Promise<void> | undefined {
    const { projection, mutations, now } = this.#options
    if (projection.dependencyGate(taskId) !== 'failed') return undefined
    if ((projection.task(taskId)?.progress.open ?? 0) === 0) return undefined
    return mutations.transact((batch) => cancelRuns(batch, batch.view.runsOf(taskId), now()))
  }

  #fillCronWindow(taskId: TaskId): Promise<void> | undefined {
    const { projection, mutations, now, ids } = this.#options
    const task = projection.task(taskId)
    if (task === undefined || task.spec.runPolicy.type !== 'cron' || task.canceledAt !== undefined) return undefined
    const { runs: created, open } = task.progress
    const after = this.#lastOccurrence.get(taskId) ?? latestSchedule(projection.runsOf(taskId), now() - 1)
    const runs = cronRuns(task.spec, { after, created, open }, now(), ids)
    const last = runs.at(-1)
    if (last === undefined) return undefined
    return mutations
      .transact((batch) => {
        if (batch.view.task(taskId)?.canceledAt !== undefined) return
        for (const runInstance of runs) batch.submit({ type: 'run_create', runInstance })
      })
      .then(() => void this.#lastOccurrence.set(taskId, last.scheduledAt))
  }

  #resumeBelow(taskId: TaskId): Promise<void> | undefined {
    const { projection } = this.#options
    const waiting: RunId[] = []
    for (const id of this.#descendants(taskId)) {
      if (projection.isBudgetExhausted(id)) continue
      for (const run of projection.runsOf(id)) {
        if (run.state === 'suspended' && lastReason(run) === 'budget_exhausted') waiting.push(run.id)
      }
    }
    return waiting.length === 0 ? undefined : this.#resume(waiting)
  }

  #resume(runIds: readonly RunId[]): Promise<void> {
    const { mutations, now } = this.#options
    return mutations.transact((batch) => {
      for (const runId of runIds) {
        const run = batch.view.run(runId)
        if (run?.state !== 'suspended' || batch.view.task(run.taskId)?.canceledAt !== undefined) continue
        batch.submit({ type: 'run_resume', runId, timestamp: now() })
      }
    })
  }

  *#descendants(taskId: TaskId): Iterable<TaskId> {
    const reached = new Set([taskId])
    for (const id of reached) {
      yield id
      for (const child of this.#options.projection.children(id)) reached.add(child)
    }
  }
}

function isCanceledWhole(projection: TaskProjection, taskId: TaskId): boolean {
  const task = projection.task(taskId)
  if (task === undefined) return true
  const { runs, open } = task.progress
  return open === 0 && (task.canceledAt !== undefined || runs > 0)
}

function lastReason({ history }: Run): string | undefined {
  return history.at(-1)?.reason
}

function latestSchedule(runs: readonly Run[], origin: Timestamp): Timestamp {
  return runs.reduce((latest, { scheduledAt }) => Math.max(latest, scheduledAt), origin)
}
