import * as v from 'valibot'
import { runStates, type RunState } from '../../machines/run-vocabulary.js'
import { InvalidInputError } from '../base/errors.js'
import { MultiMap } from '../base/multi-map.js'
import { strictSchema, textOf } from '../base/options.js'
import { commandDefiner } from '../state/command.js'
import type { Draft } from '../state/draft.js'
import { eventDefiner } from '../state/event.js'
import { rowDefiner } from '../state/row.js'
import type { Table } from '../state/table.js'
import { dimensionSchema } from './budget.js'
import { TaskError } from './errors.js'
import type { ActorId, BudgetDimension, LedgerEntryId, SubscriptionId, TaskId, TenantId } from './ids.js'
import { knownRun, type RunReads, type RunRows } from './run-commands.js'
import { idSchema, labelSchema, naturalSchema, ofSubscription, ofTask, optionalRunId, optionalTime } from './scalars.js'
import { knownTask, storedTask } from './task.js'

/** The events that a subscription waits for (T-32). */
export type EventFilter =
  | { readonly type: 'task_completed'; readonly taskId: TaskId }
  | { readonly type: 'run_state_changed'; readonly taskId: TaskId; readonly state: RunState }
  | {
      readonly type: 'budget_threshold'
      readonly taskId: TaskId
      readonly dimension: BudgetDimension
      /** 0 to 100. */
      readonly thresholdPercent: number
    }
  | { readonly type: 'custom'; readonly key: string }

/** An event that may release waiting runs. The last four types match no filter. */
export type SystemEvent =
  | { readonly type: 'task_reached_terminal_success'; readonly taskId: TaskId }
  | { readonly type: 'run_changed_state'; readonly taskId: TaskId; readonly newState: RunState }
  | {
      readonly type: 'budget_threshold_crossed'
      readonly taskId: TaskId
      readonly dimension: BudgetDimension
      readonly percent: number
    }
  | { readonly type: 'custom_event'; readonly key: string }
  | { readonly type: 'actor_registered'; readonly actorId: ActorId }
  | { readonly type: 'actor_deregistered'; readonly actorId: ActorId }
  | { readonly type: 'actor_heartbeat_timeout'; readonly actorId: ActorId }
  | {
      readonly type: 'ledger_entry_appended'
      readonly tenantId: TenantId
      readonly ledgerKey: string
      readonly entryId: LedgerEntryId
    }

/** A subscription: when its filter matches, the earliest eligible run of its task is released (T-192). */
export interface Subscription {
  readonly subscriptionId: SubscriptionId
  /** The task whose runs are released. */
  readonly taskId: TaskId
  readonly filter: EventFilter
  /** False: used up by one release. True: armed again. */
  readonly rearm: boolean
  readonly createdAtMs: number
  /** When it was last triggered, in epoch milliseconds. */
  readonly triggeredAtMs?: number
  /** Triggers that have not released a run yet. */
  readonly pendingTriggers: number
  /** When it last released a run, in epoch milliseconds. */
  readonly consumedAtMs?: number
  readonly cancelledAtMs?: number
}

/** The shape of an {@link EventFilter}; {@link checkFilter} checks its rules. */
export const eventFilterSchema: v.GenericSchema<unknown, EventFilter> = v.variant('type', [
  strictSchema({ type: v.literal('task_completed'), taskId: idSchema<TaskId>() }),
  strictSchema({ type: v.literal('run_state_changed'), taskId: idSchema<TaskId>(), state: v.picklist(runStates) }),
  strictSchema({
    type: v.literal('budget_threshold'),
    taskId: idSchema<TaskId>(),
    dimension: dimensionSchema,
    thresholdPercent: naturalSchema,
  }),
  strictSchema({ type: v.literal('custom'), key: labelSchema }),
])

/** Raises `invalid_threshold_percent` or `empty_custom_key`. */
export function checkFilter(filter: EventFilter): void {
  if (filter.type === 'budget_threshold' && filter.thresholdPercent > 100) {
    throw new TaskError('invalid_threshold_percent', { thresholdPercent: filter.thresholdPercent })
  }
  if (filter.type === 'custom' && filter.key === '') throw new TaskError('empty_custom_key', {})
}

/** True while an event can trigger it: not cancelled, and not a one-shot that was triggered before. */
export function isArmed({ rearm, triggeredAtMs, cancelledAtMs }: Subscription): boolean {
  return cancelledAtMs === undefined && (rearm || triggeredAtMs === undefined)
}

/** Raises `invalid_input` for anything but an event; types that match no filter are allowed. */
export function checkSystemEvent(event: SystemEvent): void {
  if (typeof event !== 'object' || event === null) {
    throw new InvalidInputError({ subject: 'event', field: '$', reason: `not an object: ${textOf(event)}` })
  }
}

/** True if an event matches a filter (T-32). */
export function matches(filter: EventFilter, event: SystemEvent): boolean {
  switch (filter.type) {
    case 'task_completed':
      return event.type === 'task_reached_terminal_success' && event.taskId === filter.taskId
    case 'run_state_changed':
      return event.type === 'run_changed_state' && event.taskId === filter.taskId && event.newState === filter.state
    case 'budget_threshold':
      return (
        event.type === 'budget_threshold_crossed' &&
        event.taskId === filter.taskId &&
        event.dimension === filter.dimension &&
        event.percent >= filter.thresholdPercent
      )
    case 'custom':
      return event.type === 'custom_event' && event.key === filter.key
  }
}

/** The tables defined in this file. */
export interface SubscriptionRows extends RunRows {
  readonly subscriptions: Table<SubscriptionId, Subscription>
}

/** The reads defined in this file. */
export interface SubscriptionReads extends RunReads {
  subscription(subscriptionId: SubscriptionId): Subscription | undefined
}

/** A draft of changes to subscriptions. */
export type SubscriptionDraft = Draft<SubscriptionRows, SubscriptionReads>

const defineEvent = eventDefiner<SubscriptionRows, SubscriptionReads>()
const defineCommand = commandDefiner<SubscriptionReads>()
const defineRow = rowDefiner<SubscriptionRows, SubscriptionReads>()

/** Creates an armed subscription. */
export const subscriptionCreated = defineEvent('subscription_created', {
  fields: { ...ofSubscription, ...ofTask, filter: eventFilterSchema, rearm: v.boolean() },
  check: ({ filter }) => checkFilter(filter),
  evolve: (draft, { subscriptionId, taskId, filter, rearm, atMs }) => {
    draft.put(draft.tables.subscriptions, subscriptionId, {
      subscriptionId,
      taskId,
      filter,
      rearm,
      createdAtMs: atMs,
      pendingTriggers: 0,
    })
  },
})

/** Its filter matched: one more run may be released. */
export const subscriptionTriggered = defineEvent('subscription_triggered', {
  fields: ofSubscription,
  evolve: (draft, { subscriptionId, atMs }) => triggerSubscription(draft, subscriptionId, atMs),
})

/** The subscription releases no more runs. */
export const subscriptionCancelled = defineEvent('subscription_cancelled', {
  fields: ofSubscription,
  evolve: (draft, { subscriptionId, atMs }) => {
    change(draft, subscriptionId, () => ({ cancelledAtMs: atMs }))
  },
})

/** A trigger has released its run. */
export const subscriptionConsumed = defineEvent('subscription_consumed', {
  fields: { ...ofSubscription, runId: optionalRunId },
  evolve: (draft, { subscriptionId, atMs }) => {
    change(draft, subscriptionId, ({ pendingTriggers }) => ({
      consumedAtMs: atMs,
      pendingTriggers: Math.max(0, pendingTriggers - 1),
    }))
  },
})

/** Checks: task known; id not known. */
export const subscriptionCreate = defineCommand('subscription_create', {
  fields: {
    ...ofSubscription,
    ...ofTask,
    filter: eventFilterSchema,
    /** Default false: used up by one release. */
    rearm: v.exactOptional(v.boolean()),
  },
  check: ({ filter }) => checkFilter(filter),
  decide: (view, { subscriptionId, taskId, filter, rearm = false, atMs }, sequence) => {
    knownTask(view, taskId)
    if (view.subscription(subscriptionId) !== undefined) {
      throw new TaskError('subscription_already_exists', { subscriptionId })
    }
    return {
      event: subscriptionCreated.create(sequence, { subscriptionId, taskId, filter, rearm, atMs }),
      applied: { type: 'subscription_create', subscriptionId, taskId } as const,
    }
  },
})

/** Checks: known; not cancelled. */
export const subscriptionCancel = defineCommand('subscription_cancel', {
  fields: ofSubscription,
  decide: (view, { subscriptionId, atMs }, sequence) => {
    liveSubscription(view, subscriptionId)
    return {
      event: subscriptionCancelled.create(sequence, { subscriptionId, atMs }),
      applied: { type: 'subscription_cancel', subscriptionId } as const,
    }
  },
})

/** Checks: known; not cancelled; a one-shot not triggered before. */
export const subscriptionTrigger = defineCommand('subscription_trigger', {
  fields: ofSubscription,
  decide: (view, { subscriptionId, atMs }, sequence) => {
    checkTriggers(view, [subscriptionId])
    return {
      event: subscriptionTriggered.create(sequence, { subscriptionId, atMs }),
      applied: { type: 'subscription_trigger', subscriptionId } as const,
    }
  },
})

/**
 * A trigger has released its run; must be in one batch with the run's transition. Checks: known; not cancelled; a
 * trigger is pending; run known.
 */
export const subscriptionConsume = defineCommand('subscription_consume', {
  fields: { ...ofSubscription, runId: optionalRunId },
  decide: (view, { subscriptionId, runId, atMs }, sequence) => {
    const { pendingTriggers } = liveSubscription(view, subscriptionId)
    if (pendingTriggers === 0) throw new TaskError('subscription_not_triggered', { subscriptionId })
    if (runId !== undefined) knownRun(view, runId)
    return {
      event: subscriptionConsumed.create(sequence, {
        subscriptionId,
        ...(runId !== undefined && { runId }),
        atMs,
      }),
      applied: { type: 'subscription_consume', subscriptionId } as const,
    }
  },
})

/** The snapshot row of a subscription. */
export const subscriptionRow = defineRow('subscription', {
  fields: {
    subscriptionId: idSchema<SubscriptionId>(),
    taskId: idSchema<TaskId>(),
    filter: eventFilterSchema,
    rearm: v.boolean(),
    createdAtMs: naturalSchema,
    triggeredAtMs: optionalTime,
    pendingTriggers: naturalSchema,
    consumedAtMs: optionalTime,
    cancelledAtMs: optionalTime,
  },
  capture: ({ subscriptions }) => subscriptions.rows(),
  restore: (draft, subscription) => {
    const { subscriptionId, taskId, filter } = subscription
    if (draft.view.subscription(subscriptionId) !== undefined) {
      throw new TaskError('snapshot_duplicate_subscription', { subscriptionId })
    }
    storedTask(draft, taskId, 'subscription')
    checkFilter(filter)
    draft.put(draft.tables.subscriptions, subscriptionId, subscription)
  },
})

/** Raises the refusal if these subscriptions cannot be triggered in sequence. */
export function checkTriggers(view: SubscriptionReads, subscriptionIds: readonly SubscriptionId[]): void {
  if (subscriptionIds.length === 0) return
  const spent = new Set<SubscriptionId>()
  for (const subscriptionId of subscriptionIds) {
    const subscription = liveSubscription(view, subscriptionId)
    if (!isArmed(subscription) || spent.has(subscriptionId)) {
      throw new TaskError('subscription_already_triggered', { subscriptionId })
    }
    if (!subscription.rearm) spent.add(subscriptionId)
  }
}

/** Counts a trigger; does nothing if there is no such subscription. */
export function triggerSubscription(draft: SubscriptionDraft, subscriptionId: SubscriptionId, atMs: number): void {
  change(draft, subscriptionId, ({ pendingTriggers }) => ({
    triggeredAtMs: atMs,
    pendingTriggers: pendingTriggers + 1,
  }))
}

function change(
  draft: SubscriptionDraft,
  subscriptionId: SubscriptionId,
  update: (subscription: Subscription) => Partial<Subscription>,
): void {
  const subscription = draft.view.subscription(subscriptionId)
  if (subscription === undefined) return
  draft.put(draft.tables.subscriptions, subscriptionId, { ...subscription, ...update(subscription) })
}

function liveSubscription(view: SubscriptionReads, subscriptionId: SubscriptionId): Subscription {
  const subscription = view.subscription(subscriptionId)
  if (subscription === undefined) throw new TaskError('unknown_subscription', { subscriptionId })
  if (subscription.cancelledAtMs !== undefined)
    throw new TaskError('subscription_already_cancelled', { subscriptionId })
  return subscription
}

/** Committed subscriptions by the events that trigger them, by task, and those with pending triggers. */
export class SubscriptionIndex {
  readonly #armed = new MultiMap<string, SubscriptionId>()
  readonly #byTask = new MultiMap<TaskId, SubscriptionId>()
  readonly #triggered = new Set<SubscriptionId>()

  /** Subscriptions with pending triggers. */
  get triggered(): Iterable<SubscriptionId> {
    return this.#triggered
  }

  /** True if there is an armed subscription. */
  get isAnyArmed(): boolean {
    return this.#armed.size > 0
  }

  /** Armed subscriptions that an event may trigger; only thresholds need a further check. */
  candidates(event: SystemEvent): Iterable<SubscriptionId> {
    const key = keyOfEvent(event)
    return key === undefined ? [] : this.#armed.get(key)
  }

  /** Subscriptions that release runs of a task. */
  ofTask(taskId: TaskId): Iterable<SubscriptionId> {
    return this.#byTask.get(taskId)
  }

  /** Applies a committed change of a subscription. */
  update(id: SubscriptionId, before: Subscription | undefined, after: Subscription | undefined): void {
    if (before !== undefined && isArmed(before)) this.#armed.delete(keyOfFilter(before.filter), id)
    if (after === undefined) {
      this.#triggered.delete(id)
      if (before !== undefined) this.#byTask.delete(before.taskId, id)
      return
    }
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
