import type { Actor } from '../actor.js'
import type { Budget, Reservation } from '../budget.js'
import type { ActorId, RunId, TaskId, TenantId } from '../ids.js'
import type { Capability, LedgerEntry, Tenant } from '../platform.js'
import type { Run, RunState } from '../run.js'
import { matches, type Subscription, type SystemEvent } from '../subscription.js'
import type { DependencyGate, Task, TaskProjection } from '../view.js'
import type { TaskIndexes } from './indexes.js'
import { KeyedView } from './keyed-view.js'
import { budgetKey, type TaskTables } from './tables.js'

/** The committed state with its indexes, as readers see it. */
export class CommittedProjection extends KeyedView implements TaskProjection {
  readonly #indexes: TaskIndexes

  constructor(tables: TaskTables, indexes: TaskIndexes) {
    super(tables, 'committed')
    this.#indexes = indexes
  }

  get taskCount(): number {
    return this.tables.tasks.size
  }

  get runCount(): number {
    return this.tables.runs.size
  }

  tasks(): Iterable<Task> {
    return this.tables.tasks.rows()
  }

  runsIn(state: RunState): Iterable<Run> {
    return this.#indexes.runs.inState(state)
  }

  countIn(state: RunState): number {
    return this.#indexes.runs.count(state)
  }

  dueScheduled(now: number): Iterable<Run> {
    return this.#indexes.runs.dueScheduled(now)
  }

  nextScheduledAtMs(): number | undefined {
    return this.#indexes.runs.nextScheduledAtMs()
  }

  dueRetries(nowMs: number): Iterable<Run> {
    return this.#indexes.runs.dueRetries(nowMs)
  }

  nextRetryAtMs(): number | undefined {
    return this.#indexes.runs.nextRetryAtMs()
  }

  ready(): Iterable<Run> {
    return this.#indexes.runs.inState('ready')
  }

  expiredLeases(now: number): Iterable<Run> {
    return this.#indexes.runs.expiredLeases(now)
  }

  leased(): Iterable<Run> {
    return this.#indexes.runs.leased()
  }

  nextLeaseExpiresAtMs(): number | undefined {
    return this.#indexes.runs.nextLeaseExpiresAtMs()
  }

  dependents(taskId: TaskId): Iterable<TaskId> {
    return this.#indexes.gates.dependents(taskId)
  }

  dependencyGate(taskId: TaskId): DependencyGate {
    return this.#indexes.gates.gate(taskId)
  }

  children(taskId: TaskId): Iterable<TaskId> {
    return this.#indexes.children.get(taskId)
  }

  cronTasks(): Iterable<Task> {
    return present(this.#indexes.cronTasks, (taskId) => this.task(taskId))
  }

  budgetsOf(taskId: TaskId): Iterable<Budget> {
    return present(this.#indexes.budgets.get(taskId), (dimension) =>
      this.tables.budgets.get(budgetKey(taskId, dimension)),
    )
  }

  isBudgetExhausted(taskId: TaskId): boolean {
    for (let next: TaskId | undefined = taskId; next !== undefined; next = this.task(next)?.spec.parentTaskId) {
      for (const { exhausted } of this.budgetsOf(next)) if (exhausted) return true
    }
    return false
  }

  reservations(): Iterable<Reservation> {
    return this.tables.reservations.rows()
  }

  reservationsOf(runId: RunId): Iterable<Reservation> {
    return present(this.#indexes.reservations.get(runId), (id) => this.reservation(id))
  }

  *subscriptionsFor(event: SystemEvent): Iterable<Subscription> {
    for (const id of this.#indexes.subscriptions.candidates(event)) {
      const subscription = this.subscription(id)
      if (subscription !== undefined && matches(subscription.filter, event)) yield subscription
    }
  }

  triggeredSubscriptions(): Iterable<Subscription> {
    return present(this.#indexes.subscriptions.triggered, (id) => this.subscription(id))
  }

  subscriptionsOf(taskId: TaskId): Iterable<Subscription> {
    return present(this.#indexes.subscriptions.ofTask(taskId), (id) => this.subscription(id))
  }

  actors(): Iterable<Actor> {
    return this.tables.actors.rows()
  }

  tenants(): Iterable<Tenant> {
    return this.tables.tenants.rows()
  }

  isActorActive(actorId: ActorId): boolean {
    const actor = this.actor(actorId)
    return actor !== undefined && actor.deregisteredAtMs === undefined
  }

  hasCapability(actorId: ActorId, capability: Capability, tenantId: TenantId): boolean {
    const grant = this.capabilityGrant(actorId, capability, tenantId)
    return grant !== undefined && grant.revokedAtMs === undefined
  }

  ledger(tenantId?: TenantId): Iterable<LedgerEntry> {
    if (tenantId === undefined) return this.tables.ledger.rows()
    return present(this.#indexes.ledgerByTenant.get(tenantId), (id) => this.ledgerEntry(id))
  }

  ledgerByKey(ledgerKey: string): Iterable<LedgerEntry> {
    return present(this.#indexes.ledgerByKey.get(ledgerKey), (id) => this.ledgerEntry(id))
  }
}

function* present<Key, Row>(keys: Iterable<Key>, read: (key: Key) => Row | undefined): Iterable<Row> {
  for (const key of keys) {
    const row = read(key)
    if (row !== undefined) yield row
  }
}
