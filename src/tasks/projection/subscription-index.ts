import type { SubscriptionId, TaskId } from '../ids.js'
import { isArmed, type EventFilter, type Subscription, type SystemEvent } from '../subscription.js'
import { MultiMap } from '../../base/multi-map.js'

/** Committed subscriptions by what fires them, by task, and those with pending triggers. */
export class SubscriptionIndex {
  readonly #armed = new MultiMap<string, SubscriptionId>()
  readonly #byTask = new MultiMap<TaskId, SubscriptionId>()
  readonly #triggered = new Set<SubscriptionId>()

  /** Subscriptions with triggers that have not released a run. */
  get triggered(): Iterable<SubscriptionId> {
    return this.#triggered
  }

  /** Armed subscriptions whose filter an event may match; only thresholds need a second look. */
  candidates(event: SystemEvent): Iterable<SubscriptionId> {
    const key = keyOfEvent(event)
    return key === undefined ? [] : this.#armed.get(key)
  }

  /** Subscriptions that release runs of a task. */
  ofTask(taskId: TaskId): Iterable<SubscriptionId> {
    return this.#byTask.get(taskId)
  }

  /** Takes a committed change of a subscription. */
  update(id: SubscriptionId, before: Subscription | undefined, after: Subscription | undefined): void {
    if (before !== undefined && isArmed(before)) this.#armed.delete(keyOfFilter(before.filter), id)
    if (after === undefined) return
    if (before === undefined) this.#byTask.add(after.taskId, id)
    if (isArmed(after)) this.#armed.add(keyOfFilter(after.filter), id)
    if (after.pendingTriggers > 0 && after.cancelledAtMs === undefined) this.#triggered.add(id)
    else this.#triggered.delete(id)
  }
}

function keyOfFilter(filter: EventFilter): string {
  switch (filter.type) {
    case 'task_completed':
      return `completed/${filter.taskId}`
    case 'run_state_changed':
      return `state/${filter.taskId}/${filter.state}`
    case 'budget_threshold':
      return `budget/${filter.taskId}/${filter.dimension}`
    case 'custom':
      return `custom/${filter.key}`
  }
}

function keyOfEvent(event: SystemEvent): string | undefined {
  switch (event.type) {
    case 'task_reached_terminal_success':
      return `completed/${event.taskId}`
    case 'run_changed_state':
      return `state/${event.taskId}/${event.newState}`
    case 'budget_threshold_crossed':
      return `budget/${event.taskId}/${event.dimension}`
    case 'custom_event':
      return `custom/${event.key}`
    default:
      return undefined
  }
}
