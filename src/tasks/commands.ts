import type { ActorRegistration } from './actor.js'
import type { AttemptOutcome } from './attempt.js'
import type { BudgetDimension } from './budget.js'
import type { ActorId, AttemptId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from './ids.js'
import type { Capability, LedgerEntry, Role, TenantRegistration } from './platform.js'
import type { RunInstance, RunState } from './run.js'
import type { EventFilter } from './subscription.js'
import type { TaskSpec } from './task-spec.js'

interface Timed {
  /** Epoch milliseconds, chosen by the caller. */
  readonly atMs: number
}

interface Fenced {
  /** Token of the lease under which the caller works; required while the run is leased (ruling D-28). */
  readonly fencingToken?: number
}

interface OfRun extends Timed {
  readonly runId: RunId
}

interface OfLease extends OfRun {
  /** Not empty. */
  readonly owner: string
  readonly expiresAtMs: number
}

interface OfBudget extends Timed {
  readonly taskId: TaskId
  readonly dimension: BudgetDimension
}

/** What each command carries: the 29 of spec mutation authority 3, then the added ones. */
export interface CommandPayloads {
  task_create: Timed & { readonly taskSpec: TaskSpec }
  /** Carries no timestamp: the run's own `createdAtMs` counts. */
  run_create: { readonly runInstance: RunInstance }
  run_state_transition: OfRun &
    Fenced & {
      readonly previousState: RunState
      readonly newState: RunState
      /** When the retry is due, in epoch milliseconds; only with `newState: 'retry_wait'`. */
      readonly retryAtMs?: number
    }
  attempt_start: OfRun & Fenced & { readonly attemptId: AttemptId }
  attempt_finish: OfRun & Fenced & { readonly attemptId: AttemptId; readonly outcome: AttemptOutcome }
  task_cancel: Timed & { readonly taskId: TaskId }
  dependency_declare: Timed & { readonly taskId: TaskId; readonly dependsOn: readonly TaskId[] }
  run_suspend: OfRun & Fenced & { readonly reason?: string }
  run_resume: OfRun
  lease_acquire: OfLease
  lease_heartbeat: OfLease & Fenced
  /** The clock is not consulted: the caller decides that it expired. */
  lease_expire: OfLease
  lease_release: OfLease & Fenced
  engine_pause: Timed
  engine_resume: Timed
  budget_allocate: OfBudget & { readonly limit: number }
  budget_consume: OfBudget & { readonly amount: number }
  /** Raises the limit and keeps what was consumed. */
  budget_replenish: OfBudget & { readonly newLimit: number }
  subscription_create: Timed & {
    readonly subscriptionId: SubscriptionId
    readonly taskId: TaskId
    readonly filter: EventFilter
    /** Default false: spent after one release. */
    readonly rearm?: boolean
  }
  subscription_cancel: Timed & { readonly subscriptionId: SubscriptionId }
  subscription_trigger: Timed & { readonly subscriptionId: SubscriptionId }
  actor_register: Timed & { readonly registration: ActorRegistration }
  actor_deregister: Timed & { readonly actorId: ActorId }
  actor_heartbeat: Timed & { readonly actorId: ActorId }
  tenant_create: Timed & { readonly registration: TenantRegistration }
  role_assign: Timed & { readonly actorId: ActorId; readonly role: Role; readonly tenantId: TenantId }
  capability_grant: Timed & {
    readonly actorId: ActorId
    readonly capability: Capability
    readonly tenantId: TenantId
  }
  capability_revoke: Timed & {
    readonly actorId: ActorId
    readonly capability: Capability
    readonly tenantId: TenantId
  }
  ledger_append: Timed & { readonly entry: LedgerEntry }
  /** Sets an amount aside on the ledgers of the task and its ancestors before it is spent. */
  budget_reserve: OfBudget & {
    readonly reservationId: ReservationId
    readonly amount: number
    readonly runId?: RunId
  }
  /** Replaces a reservation by what was really spent; the truth is recorded even if it is more. */
  budget_settle: Timed & { readonly reservationId: ReservationId; readonly amount: number }
  /** Gives a reservation back unspent. */
  budget_release: Timed & { readonly reservationId: ReservationId }
  /** A trigger has released its run; belongs into one batch with the run's transition. */
  subscription_consume: Timed & { readonly subscriptionId: SubscriptionId; readonly runId?: RunId }
}

/** Name of a command. */
export type CommandType = keyof CommandPayloads

/** A command of one type. */
export type CommandOf<Type extends CommandType> = { readonly type: Type } & CommandPayloads[Type]

/** Any command. */
export type TaskCommand = { [Type in CommandType]: CommandOf<Type> }[CommandType]

/** What a successful command says it did (spec mutation authority 3, column Applied). */
export interface AppliedPayloads {
  task_create: { readonly taskId: TaskId }
  run_create: { readonly runId: RunId; readonly taskId: TaskId }
  run_state_transition: { readonly runId: RunId; readonly previousState: RunState; readonly newState: RunState }
  attempt_start: { readonly runId: RunId; readonly attemptId: AttemptId }
  attempt_finish: { readonly runId: RunId; readonly attemptId: AttemptId; readonly outcome: AttemptOutcome }
  task_cancel: { readonly taskId: TaskId }
  dependency_declare: { readonly taskId: TaskId; readonly dependsOn: readonly TaskId[] }
  run_suspend: { readonly runId: RunId }
  run_resume: { readonly runId: RunId }
  /** `fencingToken` is the sequence of the acquire. */
  lease_acquire: {
    readonly runId: RunId
    readonly owner: string
    readonly expiresAtMs: number
    readonly fencingToken: number
  }
  lease_heartbeat: { readonly runId: RunId; readonly owner: string; readonly expiresAtMs: number }
  lease_expire: { readonly runId: RunId; readonly owner: string; readonly expiresAtMs: number }
  lease_release: { readonly runId: RunId; readonly owner: string; readonly expiresAtMs: number }
  engine_pause: object
  engine_resume: object
  budget_allocate: { readonly taskId: TaskId; readonly dimension: BudgetDimension; readonly limit: number }
  budget_consume: { readonly taskId: TaskId; readonly dimension: BudgetDimension; readonly amount: number }
  budget_replenish: { readonly taskId: TaskId; readonly dimension: BudgetDimension; readonly newLimit: number }
  subscription_create: { readonly subscriptionId: SubscriptionId; readonly taskId: TaskId }
  subscription_cancel: { readonly subscriptionId: SubscriptionId }
  subscription_trigger: { readonly subscriptionId: SubscriptionId }
  budget_reserve: { readonly reservationId: ReservationId; readonly chargedTaskIds: readonly TaskId[] }
  budget_settle: { readonly reservationId: ReservationId; readonly amount: number }
  budget_release: { readonly reservationId: ReservationId }
  subscription_consume: { readonly subscriptionId: SubscriptionId }
  no_op: object
}

/** What a command of one type says it did; actor and platform commands say nothing. */
export type AppliedOf<Type extends CommandType> = Type extends keyof AppliedPayloads
  ? { readonly type: Type } & AppliedPayloads[Type]
  : { readonly type: 'no_op' }

/** What a successful command returns. */
export interface MutationOutcome<Type extends CommandType = CommandType> {
  /** Position in the history of commands, from 1. */
  readonly sequence: number
  readonly applied: Type extends CommandType ? AppliedOf<Type> : never
}
