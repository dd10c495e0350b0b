import * as v from 'valibot'
import { strictSchema } from '../base/options.js'
import { runStates, type RunState } from '../../machines/run-vocabulary.js'
import { dimensionSchema, type BudgetDimension } from './budget.js'
import { TaskError } from './errors.js'
import type { ActorId, LedgerEntryId, SubscriptionId, TaskId, TenantId } from './ids.js'
import { idSchema, labelSchema, naturalSchema } from './scalars.js'

/** What a subscription waits for (spec mutation authority 1.11). */
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

/** Something that happened and may release waiting runs. The last four match no filter. */
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

/** A subscription: when its filter matches, the earliest eligible run of its task is released (ruling D-16). */
export interface Subscription {
  readonly subscriptionId: SubscriptionId
  /** The task whose runs are released. */
  readonly taskId: TaskId
  readonly filter: EventFilter
  /** False: spent after one release. True: armed again. */
  readonly rearm: boolean
  readonly createdAtMs: number
  /** Last trigger. */
  readonly triggeredAtMs?: number
  /** Triggers that have not released a run yet. */
  readonly pendingTriggers: number
  /** Last release. */
  readonly consumedAtMs?: number
  readonly cancelledAtMs?: number
}

/** The shape of an {@link EventFilter}; its rules are {@link checkFilter}'s. */
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

/** True while an event can trigger it: not cancelled, and not a one-shot that was triggered already. */
export function isArmed({ rearm, triggeredAtMs, cancelledAtMs }: Subscription): boolean {
  return cancelledAtMs === undefined && (rearm || triggeredAtMs === undefined)
}

/** Whether an event fires a filter (spec mutation authority 1.11). */
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
