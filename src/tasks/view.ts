import type { Actor } from './actor.js'
import type { Budget, BudgetDimension, Reservation } from './budget.js'
import type { ActorId, LedgerEntryId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from './ids.js'
import type { Capability, CapabilityGrant, LedgerEntry, RoleAssignment, Tenant } from './platform.js'
import type { Run, RunState } from './run.js'
import type { Subscription, SystemEvent } from './subscription.js'
import type { TaskSpec } from './task-spec.js'

/** A task with all the projection knows about it. An immutable row. */
export interface Task {
  readonly spec: TaskSpec
  readonly createdAtMs: number
  readonly cancelledAtMs?: number
  /** 0 without a parent. */
  readonly depth: number
  readonly progress: TaskProgress
}

/** How far the runs of a task are; counted, so that asking costs O(1). */
export interface TaskProgress {
  readonly runs: number
  /** Runs in a state that can still change. */
  readonly open: number
  readonly completed: number
  readonly failed: number
  /** Latest time a run was created for; only for repeating tasks, whose next run comes after it. */
  readonly lastScheduledAtMs?: number
}

/** Whether runs are promoted and dispatched. */
export interface Engine {
  readonly paused: boolean
  readonly pausedAtMs?: number
  readonly resumedAtMs?: number
}

/** Whether the prerequisites of a task let it run (spec mutation authority 7.9). */
export type DependencyGate = 'open' | 'waiting' | 'failed'

/** Reads by key: what decisions are made on. All O(1) unless said otherwise. */
export interface TaskView {
  /** Sequence of the last command taken, 0 when there was none. */
  readonly latestSequence: number
  readonly engine: Engine
  task(taskId: TaskId): Task | undefined
  run(runId: RunId): Run | undefined
  /** Runs of a task, ordered by id; O(runs of the task). */
  runsOf(taskId: TaskId): readonly Run[]
  /** Prerequisites in the order of their declaration. */
  prerequisites(taskId: TaskId): readonly TaskId[]
  /** True when another task waits for this one. */
  hasDependents(taskId: TaskId): boolean
  /** Exactly this task's own ledger. */
  budget(taskId: TaskId, dimension: BudgetDimension): Budget | undefined
  /** The ledgers a task spends from: its own and its ancestors', nearest first; O(depth). */
  ledgersFor(taskId: TaskId, dimension: BudgetDimension): readonly Budget[]
  /** An open reservation. */
  reservation(reservationId: ReservationId): Reservation | undefined
  subscription(subscriptionId: SubscriptionId): Subscription | undefined
  actor(actorId: ActorId): Actor | undefined
  tenant(tenantId: TenantId): Tenant | undefined
  role(actorId: ActorId, tenantId: TenantId): RoleAssignment | undefined
  capabilityGrant(actorId: ActorId, capability: Capability, tenantId: TenantId): CapabilityGrant | undefined
  ledgerEntry(entryId: LedgerEntryId): LedgerEntry | undefined
}

/**
 * The committed state with its derived indexes, read-only. Nothing shows here that a crash could take
 * back. Iterables are live: take what you need from one before you change anything.
 */
export interface TaskProjection extends TaskView {
  readonly taskCount: number
  readonly runCount: number
  /** Every task in the order of creation. */
  tasks(): Iterable<Task>
  /** Runs in a state; for `scheduled`, `ready`, `retry_wait` in the order below, otherwise by id. */
  runsIn(state: RunState): Iterable<Run>
  countIn(state: RunState): number
  /**
   * Scheduled runs with `scheduledAtMs <= now`, or that were due when they were created, whose dependency gate is open and
   * whose task is not cancelled; the latter first, then earliest first, ties by id; O(log n) to start. Runs behind a
   * closed gate are kept apart and cost nothing.
   */
  dueScheduled(now: number): Iterable<Run>
  /** When the next such run is due. */
  nextScheduledAtMs(): number | undefined
  /** Waiting retries that are due at an instant in epoch milliseconds, earliest first, ties by id. */
  dueRetries(nowMs: number): Iterable<Run>
  /** When the next of them is due, in epoch milliseconds. */
  nextRetryAtMs(): number | undefined
  /** Ready runs in selection order: priority descending, createdAtMs ascending, id ascending. */
  ready(): Iterable<Run>
  /** Leased runs with `now >= expiresAtMs`, earliest expiry first. */
  expiredLeases(now: number): Iterable<Run>
  /** Every run that holds a lease, earliest expiry first. */
  leased(): Iterable<Run>
  nextLeaseExpiresAtMs(): number | undefined
  /** Tasks that wait for this one. */
  dependents(taskId: TaskId): Iterable<TaskId>
  /** Open: no prerequisites, or each has ended with a completed run. Failed: one has ended without. */
  dependencyGate(taskId: TaskId): DependencyGate
  children(taskId: TaskId): Iterable<TaskId>
  /** Cron tasks that are not cancelled. */
  cronTasks(): Iterable<Task>
  /** Ledgers of exactly this task. */
  budgetsOf(taskId: TaskId): Iterable<Budget>
  /** True when a ledger of the task or of an ancestor is exhausted. */
  isBudgetExhausted(taskId: TaskId): boolean
  /** Open reservations, oldest first. */
  reservations(): Iterable<Reservation>
  reservationsOf(runId: RunId): Iterable<Reservation>
  /** Armed subscriptions that an event fires; O(matches) by index, thresholds of one task and dimension scanned. */
  subscriptionsFor(event: SystemEvent): Iterable<Subscription>
  /** Subscriptions with triggers that have not released a run, and are not cancelled. */
  triggeredSubscriptions(): Iterable<Subscription>
  subscriptionsOf(taskId: TaskId): Iterable<Subscription>
  actors(): Iterable<Actor>
  tenants(): Iterable<Tenant>
  /** Registered and not deregistered. */
  isActorActive(actorId: ActorId): boolean
  /** Granted and not revoked. */
  hasCapability(actorId: ActorId, capability: Capability, tenantId: TenantId): boolean
  /** Ledger entries in the order they were appended. */
  ledger(tenantId?: TenantId): Iterable<LedgerEntry>
  ledgerByKey(ledgerKey: string): Iterable<LedgerEntry>
}
