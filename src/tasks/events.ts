import type { ErrorDetails } from '../base/error-details.js'
import type { AttemptResult, FailureClass, FailureReason } from './attempt.js'
import type { ActorRegistration } from './actor.js'
import type { BudgetDimension } from './budget.js'
import type { Base64 } from './bytes.js'
import type { ActorId, AttemptId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from './ids.js'
import type { Capability, LedgerEntry, Role } from './platform.js'
import type { RunInstance, RunState } from './run.js'
import type { EventFilter } from './subscription.js'
import type { TaskSpec } from './task-spec.js'

interface Timed {
  readonly atMs: number
}

interface OfRun extends Timed {
  readonly runId: RunId
}

interface OfLease extends OfRun {
  readonly owner: string
  readonly expiresAtMs: number
}

interface OfBudget extends Timed {
  readonly taskId: TaskId
  readonly dimension: BudgetDimension
}

interface OfActorInTenant extends Timed {
  readonly actorId: ActorId
  readonly tenantId: TenantId
}

/** What each event carries: the 31 of spec mutation authority 6.2, then the added ones. */
export interface EventPayloads {
  task_created: Timed & { readonly taskSpec: TaskSpec }
  run_created: { readonly runInstance: RunInstance }
  run_state_changed: OfRun & {
    readonly previousState: RunState
    readonly newState: RunState
    /** In epoch milliseconds. */
    readonly retryAtMs?: number
  }
  attempt_started: OfRun & { readonly attemptId: AttemptId }
  attempt_finished: OfRun & {
    readonly attemptId: AttemptId
    readonly result: AttemptResult
    readonly error?: string
    readonly output?: Base64
    readonly failureClass?: FailureClass
    readonly reason?: FailureReason
    readonly cause?: ErrorDetails
  }
  task_cancelled: Timed & { readonly taskId: TaskId }
  /** No command writes it; replay accepts it. */
  run_cancelled: OfRun
  lease_acquired: OfLease
  lease_heartbeat: OfLease
  lease_expired: OfLease
  lease_released: OfLease
  engine_paused: Timed
  engine_resumed: Timed
  dependency_declared: Timed & { readonly taskId: TaskId; readonly dependsOn: readonly TaskId[] }
  run_suspended: OfRun & { readonly reason?: string }
  run_resumed: OfRun
  budget_allocated: OfBudget & { readonly limit: number }
  budget_consumed: OfBudget & { readonly amount: number }
  /** No command writes it; replay accepts it. */
  budget_exhausted: OfBudget
  budget_replenished: OfBudget & { readonly newLimit: number }
  subscription_created: Timed & {
    readonly subscriptionId: SubscriptionId
    readonly taskId: TaskId
    readonly filter: EventFilter
    readonly rearm: boolean
  }
  subscription_triggered: Timed & { readonly subscriptionId: SubscriptionId }
  subscription_cancelled: Timed & { readonly subscriptionId: SubscriptionId }
  actor_registered: Timed & ActorRegistration
  actor_deregistered: Timed & { readonly actorId: ActorId }
  actor_heartbeat: Timed & { readonly actorId: ActorId }
  tenant_created: Timed & { readonly tenantId: TenantId; readonly name: string }
  role_assigned: OfActorInTenant & { readonly role: Role }
  capability_granted: OfActorInTenant & { readonly capability: Capability }
  capability_revoked: OfActorInTenant & { readonly capability: Capability }
  /** `atMs` is the entry's own. */
  ledger_entry_appended: LedgerEntry
  budget_reserved: OfBudget & {
    readonly reservationId: ReservationId
    readonly amount: number
    readonly runId?: RunId
  }
  budget_settled: Timed & { readonly reservationId: ReservationId; readonly amount: number }
  budget_released: Timed & { readonly reservationId: ReservationId }
  subscription_consumed: Timed & { readonly subscriptionId: SubscriptionId; readonly runId?: RunId }
}

/** Name of an event. */
export type EventType = keyof EventPayloads

/** An event of one type as it stands in the log. */
export type EventOf<Type extends EventType> = {
  readonly type: Type
  /** Version of this event's fields. */
  readonly version: 1
  /** Position in the history of commands, from 1, without gaps. */
  readonly sequence: number
} & EventPayloads[Type]

/** Any event. */
export type TaskEvent = { [Type in EventType]: EventOf<Type> }[EventType]

/** Every event name; its place is its number. Append only: the order is part of the format (spec mutation authority 6.2). */
export const eventTypes = [
  'task_created',
  'run_created',
  'run_state_changed',
  'attempt_started',
  'attempt_finished',
  'task_cancelled',
  'run_cancelled',
  'lease_acquired',
  'lease_heartbeat',
  'lease_expired',
  'lease_released',
  'engine_paused',
  'engine_resumed',
  'dependency_declared',
  'run_suspended',
  'run_resumed',
  'budget_allocated',
  'budget_consumed',
  'budget_exhausted',
  'budget_replenished',
  'subscription_created',
  'subscription_triggered',
  'subscription_cancelled',
  'actor_registered',
  'actor_deregistered',
  'actor_heartbeat',
  'tenant_created',
  'role_assigned',
  'capability_granted',
  'capability_revoked',
  'ledger_entry_appended',
  'budget_reserved',
  'budget_settled',
  'budget_released',
  'subscription_consumed',
] as const satisfies readonly EventType[]
