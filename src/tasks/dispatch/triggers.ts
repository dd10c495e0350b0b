import type { TaskEvent } from '../events.js'
import type { SubscriptionId, TaskId } from '../ids.js'
import type { TaskBatch } from '../mutations.js'
import type { Run } from '../run.js'
import type { TaskProjection, TaskView } from '../view.js'
import { isCancelled } from './lineage.js'
import { hasMoreOccurrences } from './occurrences.js'
import { promoteRuns } from './run-batches.js'

/** Triggers taken into one batch. */
const chunk = 256

/**
 * Triggers of subscriptions that have not released a run: one trigger releases the earliest run that its dependencies
 * let go, whatever its time (ruling D-16). Those behind a closed gate are looked at again when it may have opened.
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
