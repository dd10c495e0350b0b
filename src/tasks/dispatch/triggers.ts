import { type BudgetDimension, consumedPercent } from '../budget.js'
import type { CommandOf, CommandType, MutationOutcome, TaskEvent } from '../catalogue.js'
import type { SubscriptionId, TaskId } from '../ids.js'
import type { TaskBatch } from '../authority.js'
import { phaseOf } from '../task.js'
import type { Run, RunState } from '../run.js'
import { isArmed, type Subscription, type SystemEvent } from '../subscription.js'
import type { TaskProjection, TaskView } from '../view.js'
import { hasMoreOccurrences } from './cron-window.js'
import { isCancelled, promoteRuns } from './runs.js'

/** Triggers taken into one batch. */
const chunk = 256

/**
 * Triggers of subscriptions that have not released a run: one trigger releases the earliest run whose dependencies
 * have completed, whatever its time (ruling D-16). Those behind a closed gate are looked at again when it may have opened.
 */
export class Triggers {
  readonly #projection: TaskProjection
  readonly #pending = new Set<SubscriptionId>()

  constructor(projection: TaskProjection) {
    this.#projection = projection
  }

  /** True when there is nothing to look at. */
  get isEmpty(): boolean {
    return this.#pending.size === 0
  }

  /** Reads what an earlier process left off the projection. */
  recover(): void {
    for (const { subscriptionId } of this.#projection.triggeredSubscriptions()) this.#pending.add(subscriptionId)
  }

  /** Takes a durable event. */
  observe(event: TaskEvent): void {
    switch (event.type) {
      case 'subscription_triggered':
        this.#pending.add(event.subscriptionId)
        return
      case 'run_created':
        return this.#lookAgain(event.runInstance.taskId)
      case 'run_state_changed':
      case 'run_cancelled': {
        const run = this.#projection.run(event.runId)
        // Gates open and close with the last run of a task.
        if (run === undefined || (this.#projection.task(run.taskId)?.progress.open ?? 0) > 0) return
        for (const dependent of this.#projection.dependents(run.taskId)) this.#lookAgain(dependent)
        return
      }
      default:
        return
    }
  }

  /** Takes up to one batch of triggers out. */
  take(): readonly SubscriptionId[] {
    const taken: SubscriptionId[] = []
    for (const id of this.#pending) if (taken.push(id) === chunk) break
    for (const id of taken) this.#pending.delete(id)
    return taken
  }

  /** Puts triggers back whose batch was not taken. */
  putBack(ids: readonly SubscriptionId[]): void {
    for (const id of ids) this.#pending.add(id)
  }

  /** Releases what the triggers allow; one that can release nothing any more is spent. Returns how many were. */
  release(batch: TaskBatch, ids: readonly SubscriptionId[], atMs: number): number {
    if (batch.view.engine.paused) {
      this.putBack(ids)
      return 0
    }
    let count = 0
    for (const subscriptionId of ids) {
      const subscription = batch.view.subscription(subscriptionId)
      if (subscription === undefined || subscription.pendingTriggers === 0) continue
      const { taskId, cancelledAtMs } = subscription
      if (
        cancelledAtMs !== undefined ||
        isCancelled(batch.view, taskId) ||
        this.#projection.dependencyGate(taskId) === 'waiting'
      )
        continue
      const run = earliestScheduled(batch.view.runsOf(taskId))
      if (run !== undefined) promoteRuns(batch, [run.id], 'scheduled', atMs)
      else if (mayGetRuns(batch.view, taskId)) continue
      const released = run === undefined ? {} : { runId: run.id }
      batch.submit({ type: 'subscription_consume', subscriptionId, ...released, atMs })
      count += 1
    }
    return count
  }

  #lookAgain(taskId: TaskId): void {
    for (const { subscriptionId, pendingTriggers } of this.#projection.subscriptionsOf(taskId)) {
      if (pendingTriggers > 0) this.#pending.add(subscriptionId)
    }
  }
}

function earliestScheduled(runs: readonly Run[]): Run | undefined {
  const scheduled = runs.filter(({ state }) => state === 'scheduled')
  return scheduled.toSorted((one, other) => one.scheduledAtMs - other.scheduledAtMs)[0]
}

/** The trigger waits for the next run: it is made when one of the window ends. */
function mayGetRuns(view: TaskView, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task !== undefined && hasMoreOccurrences(task)
}

/**
 * Triggers the subscriptions an event fires, in the batch that caused it: a crash loses both or neither.
 * Returns how many there were.
 */
export function fire(batch: TaskBatch, projection: TaskProjection, event: SystemEvent, atMs: number): number {
  return trigger(batch, projection.subscriptionsFor(event), atMs)
}

/** A batch whose events trigger nothing yet: the triggers are noted, to follow once the batch is durable. */
export class DeferringBatch implements TaskBatch {
  readonly triggers: SubscriptionId[] = []
  readonly #batch: TaskBatch

  constructor(batch: TaskBatch) {
    this.#batch = batch
  }

  get view(): TaskView {
    return this.#batch.view
  }

  submit<Type extends CommandType>(command: CommandOf<Type>): MutationOutcome<Type> {
    return this.#batch.submit(command)
  }
}

/** Triggers those of the subscriptions that are still armed. Returns how many there were. */
export function trigger(
  batch: TaskBatch,
  subscriptions: Iterable<Pick<Subscription, 'subscriptionId'>>,
  atMs: number,
): number {
  let count = 0
  for (const { subscriptionId } of subscriptions) {
    const subscription = batch.view.subscription(subscriptionId)
    if (subscription === undefined || !isArmed(subscription)) continue
    if (batch instanceof DeferringBatch) batch.triggers.push(subscriptionId)
    else batch.submit({ type: 'subscription_trigger', subscriptionId, atMs })
    count += 1
  }
  return count
}

/** The events of a run that left `running` (spec mutation authority 7.8). */
export function fireForRun(
  batch: TaskBatch,
  projection: TaskProjection,
  taskId: TaskId,
  newState: RunState,
  atMs: number,
): void {
  fire(batch, projection, { type: 'run_changed_state', taskId, newState }, atMs)
  const task = batch.view.task(taskId)
  if (task === undefined || phaseOf(task) !== 'completed') return
  fire(batch, projection, { type: 'task_reached_terminal_success', taskId }, atMs)
}

/** The level of every ledger that bore a spending, as an event each (spec mutation authority 7.7). */
export function fireForSpending(
  batch: TaskBatch,
  projection: TaskProjection,
  taskId: TaskId,
  dimensions: readonly BudgetDimension[],
  atMs: number,
): void {
  for (const dimension of dimensions) {
    for (const ledger of batch.view.ledgersFor(taskId, dimension)) {
      const percent = consumedPercent(ledger)
      fire(batch, projection, { type: 'budget_threshold_crossed', taskId: ledger.taskId, dimension, percent }, atMs)
    }
  }
}
