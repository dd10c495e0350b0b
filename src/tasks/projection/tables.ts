import type { Actor } from '../actor.js'
import type { Budget, BudgetDimension, Reservation } from '../budget.js'
import type { ActorId, LedgerEntryId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from '../ids.js'
import { capabilityKey, type Capability, type CapabilityGrant, type LedgerEntry } from '../platform.js'
import type { RoleAssignment, Tenant } from '../platform.js'
import type { Run } from '../run.js'
import type { Subscription } from '../subscription.js'
import type { Engine, Task } from '../view.js'
import { Table } from '../../state/table.js'
import { RunsByTask } from './runs-by-task.js'

/** Everything the tasks room remembers (spec mutation authority 5.1); histories and leases stand in the run's row. */
export class TaskTables {
  readonly sequence = new Table<'latest', number>()
  readonly engine = new Table<'engine', Engine>()
  readonly tasks = new Table<TaskId, Task>()
  readonly runs = new Table<RunId, Run>()
  readonly runsByTask = new RunsByTask()
  readonly prerequisites = new Table<TaskId, readonly TaskId[]>()
  /** How many tasks wait for a task; absent when none does. */
  readonly dependentCounts = new Table<TaskId, number>()
  readonly budgets = new Table<string, Budget>()
  readonly reservations = new Table<ReservationId, Reservation>()
  readonly subscriptions = new Table<SubscriptionId, Subscription>()
  readonly actors = new Table<ActorId, Actor>()
  readonly tenants = new Table<TenantId, Tenant>()
  readonly roles = new Table<string, RoleAssignment>()
  readonly grants = new Table<string, CapabilityGrant>()
  readonly ledger = new Table<LedgerEntryId, LedgerEntry>()
}

/** Key of a ledger. */
export function budgetKey(taskId: TaskId, dimension: BudgetDimension): string {
  return `${taskId}/${dimension}`
}

/** Key of a role assignment. */
export function roleKey(actorId: ActorId, tenantId: TenantId): string {
  return `${actorId}/${tenantId}`
}

/** Key of a capability grant. */
export function grantKey(actorId: ActorId, capability: Capability, tenantId: TenantId): string {
  return `${actorId}/${tenantId}/${capabilityKey(capability)}`
}
