import { consumedPercent, type BudgetDimension } from '../budget.js'
import type { TaskId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import { phaseOf } from '../phase.js'
import type { RunState } from '../run.js'
import { isArmed, type Subscription, type SystemEvent } from '../subscription.js'
import type { TaskProjection } from '../view.js'

/**
 * Triggers the subscriptions an event fires, in the batch that caused it: a crash loses both or neither.
 * Returns how many there were.
 */
export function fire(batch: TaskBatch, projection: TaskProjection, event: SystemEvent, atMs: number): number {
  return trigger(batch, projection.subscriptionsFor(event), atMs)
}

/** Triggers those of the subscriptions that are still armed. Returns how many there were. */
export function trigger(batch: TaskBatch, subscriptions: Iterable<Subscription>, atMs: number): number {
  let count = 0
  for (const { subscriptionId } of subscriptions) {
    const subscription = batch.view.subscription(subscriptionId)
    if (subscription === undefined || !isArmed(subscription)) continue
    batch.submit({ type: 'subscription_trigger', subscriptionId, atMs })
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
