import { nextTurn } from '../../base/promises.js'
import { type BudgetDimension, consumedPercent } from '../budget.js'
import type { CommandOf, CommandType, MutationOutcome, TaskEvent } from '../catalogue.js'
import type { SubscriptionId, TaskId } from '../ids.js'
import type { TaskBatch, TaskMutations } from '../authority.js'
import { phaseOf, type Task } from '../task.js'
import type { Run, RunState } from '../run.js'
import { isArmed, type Subscription, type SystemEvent } from '../subscription.js'
import type { TaskProjection, TaskView } from '../view.js'
import { hasMoreOccurrences } from './cron-window.js'
import { isCancelled, promoteRuns } from './runs.js'

/** How many triggers go into one batch. */
const chunk = 256

/**
 * Pending triggers of subscriptions: each releases the earliest run whose dependencies have completed, even before its
 * time (T-192). Triggers behind a closed gate are checked again when it may have opened.
 */
export class Triggers {
  readonly #projection: TaskProjection
  readonly #pending = new Set<SubscriptionId>()

  constructor(projection: TaskProjection) {
    this.#projection = projection
  }

  /** True when there is nothing to check. */
  get isEmpty(): boolean {
    return this.#pending.size === 0
  }

  /** Reads from the projection what an earlier process left pending. */
  recover(): void {
    for (const { subscriptionId } of this.#projection.triggeredSubscriptions()) this.#pending.add(subscriptionId)
  }

  /** Handles a durable event. */
  observe(event: TaskEvent): void {
    switch (event.type) {
      case 'subscription_triggered':
        this.#pending.add(event.subscriptionId)
        return
      case 'task_created':
        return this.#lookAgain(event.taskSpec.id)
      case 'run_created':
        return this.#lookAgain(event.runInstance.taskId)
      case 'schedule_changed':
        return this.#lookAgain(event.taskId)
      case 'attempt_ended':
        for (const subscriptionId of event.triggers ?? []) this.#pending.add(subscriptionId)
        for (const { taskId } of event.runs ?? []) this.#lookAgain(taskId)
        return
      default:
        return
    }
  }

  /** Handles the end of a run, which may have opened the gates of dependents. */
  onRunEnded({ taskId }: Run): void {
    // Gates change only with the last run of a task.
    if ((this.#projection.task(taskId)?.progress.open ?? 0) > 0) return
    for (const dependent of this.#projection.dependents(taskId)) this.#lookAgain(dependent)
  }

  /** Removes and returns triggers, up to one batch. */
  take(): readonly SubscriptionId[] {
    const taken: SubscriptionId[] = []
    for (const id of this.#pending) if (taken.push(id) === chunk) break
    for (const id of taken) this.#pending.delete(id)
    return taken
  }

  /** Puts triggers back whose batch was not accepted. */
  putBack(ids: readonly SubscriptionId[]): void {
    for (const id of ids) this.#pending.add(id)
  }

  /**
   * Releases what the triggers allow; a trigger that can never release a run is used up. Returns how many were handled.
   */
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

/**
 * True if the task may get more runs: the trigger then waits for the next one, which is created when one of the window
 * ends.
 */
function mayGetRuns(view: TaskView, taskId: TaskId): boolean {
  const task = view.task(taskId)
  return task !== undefined && hasMoreOccurrences(task)
}

/**
 * Triggers the subscriptions that match an event, in the batch that caused it, so that a crash loses both or neither.
 * Returns how many there were.
 */
export function fire(batch: TaskBatch, projection: TaskProjection, event: SystemEvent, atMs: number): number {
  return trigger(batch, projection.subscriptionsFor(event), atMs)
}

/** A batch that records triggers instead of adding them; they follow once the batch is durable. */
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

/** The triggers to include with an event; none if the batch defers them. */
export function takenAlong(batch: TaskBatch, triggers: readonly SubscriptionId[]): readonly SubscriptionId[] {
  if (!(batch instanceof DeferringBatch)) return triggers
  for (const subscriptionId of triggers) batch.triggers.push(subscriptionId)
  return []
}

/** The armed subscriptions that match these events. */
export function armedFor(
  view: Pick<TaskView, 'subscription'>,
  projection: Pick<TaskProjection, 'subscriptionsFor'>,
  events: Iterable<SystemEvent>,
): readonly SubscriptionId[] {
  const armed: SubscriptionId[] = []
  for (const event of events) {
    for (const { subscriptionId } of projection.subscriptionsFor(event)) {
      const subscription = view.subscription(subscriptionId)
      if (subscription !== undefined && isArmed(subscription)) armed.push(subscriptionId)
    }
  }
  return armed
}

/** Triggers the subscriptions that are still armed. Returns how many there were. */
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

/** How many subscriptions are triggered in one batch. */
const triggersAtOnce = 1024

/** Triggers all subscriptions to a custom event, in groups. Resolves with their number. */
export async function triggerAll(
  mutations: TaskMutations,
  projection: TaskProjection,
  event: SystemEvent,
  now: () => number,
): Promise<number> {
  const armed = [...projection.subscriptionsFor(event)]
  let count = 0
  for (let from = 0; from < armed.length; from += triggersAtOnce) {
    if (from > 0) await nextTurn()
    const group = armed.slice(from, from + triggersAtOnce)
    count += await mutations.transact((batch) => trigger(batch, group, now()))
  }
  return count
}

/** The events of a run that left `running`; `task` is its task afterwards (T-90). */
export function* eventsOfRun(taskId: TaskId, task: Task | undefined, newState: RunState): Iterable<SystemEvent> {
  yield { type: 'run_changed_state', taskId, newState }
  if (task !== undefined && phaseOf(task) === 'completed') yield { type: 'task_reached_terminal_success', taskId }
}

/** One event per changed budget, with its level (T-90). */
export function* eventsOfSpending(
  view: Pick<TaskView, 'budgetsFor'>,
  taskId: TaskId,
  dimensions: readonly BudgetDimension[],
): Iterable<SystemEvent> {
  for (const dimension of dimensions) {
    for (const budget of view.budgetsFor(taskId, dimension)) {
      const percent = consumedPercent(budget)
      yield { type: 'budget_threshold_crossed', taskId: budget.taskId, dimension, percent }
    }
  }
}

/** Fires the events of a spending; see {@link eventsOfSpending}. */
export function fireForSpending(
  batch: TaskBatch,
  projection: TaskProjection,
  taskId: TaskId,
  dimensions: readonly BudgetDimension[],
  atMs: number,
): void {
  for (const event of eventsOfSpending(batch.view, taskId, dimensions)) fire(batch, projection, event, atMs)
}
