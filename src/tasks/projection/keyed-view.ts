import type { Actor } from '../actor.js'
import type { Budget, BudgetDimension, Reservation } from '../budget.js'
import type { ActorId, LedgerEntryId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from '../ids.js'
import type { Capability, CapabilityGrant, LedgerEntry, RoleAssignment, Tenant } from '../platform.js'
import type { Run } from '../run.js'
import type { Subscription } from '../subscription.js'
import type { Engine, Task, TaskView } from '../view.js'
import type { Table } from '../../state/table.js'
import { budgetKey, grantKey, roleKey, type TaskTables } from './tables.js'

const runningEngine: Engine = { paused: false }

/** Which layer of the tables a view shows. */
export type Layer = 'committed' | 'latest'

/** Reads by key from one layer of the tables. */
export class KeyedView implements TaskView {
  protected readonly tables: TaskTables
  readonly #isLatest: boolean

  constructor(tables: TaskTables, layer: Layer) {
    this.tables = tables
    this.#isLatest = layer === 'latest'
  }

  get latestSequence(): number {
    return this.#read(this.tables.sequence, 'latest') ?? 0
  }

  get engine(): Engine {
    return this.#read(this.tables.engine, 'engine') ?? runningEngine
  }

  task(taskId: TaskId): Task | undefined {
    return this.#read(this.tables.tasks, taskId)
  }

  run(runId: RunId): Run | undefined {
    return this.#read(this.tables.runs, runId)
  }

  runsOf(taskId: TaskId): readonly Run[] {
    return this.tables.runsByTask
      .of(taskId)
      .toSorted()
      .flatMap((id) => this.run(id) ?? [])
  }

  prerequisites(taskId: TaskId): readonly TaskId[] {
    return this.#read(this.tables.prerequisites, taskId) ?? []
  }

  hasDependents(taskId: TaskId): boolean {
    return this.#read(this.tables.dependentCounts, taskId) !== undefined
  }

  budget(taskId: TaskId, dimension: BudgetDimension): Budget | undefined {
    return this.#read(this.tables.budgets, budgetKey(taskId, dimension))
  }

  ledgersFor(taskId: TaskId, dimension: BudgetDimension): readonly Budget[] {
    const ledgers: Budget[] = []
    for (let next: TaskId | undefined = taskId; next !== undefined; next = this.task(next)?.spec.parentTaskId) {
      const ledger = this.budget(next, dimension)
      if (ledger !== undefined) ledgers.push(ledger)
    }
    return ledgers
  }

  reservation(reservationId: ReservationId): Reservation | undefined {
    return this.#read(this.tables.reservations, reservationId)
  }

  subscription(subscriptionId: SubscriptionId): Subscription | undefined {
    return this.#read(this.tables.subscriptions, subscriptionId)
  }

  actor(actorId: ActorId): Actor | undefined {
    return this.#read(this.tables.actors, actorId)
  }

  tenant(tenantId: TenantId): Tenant | undefined {
    return this.#read(this.tables.tenants, tenantId)
  }

  role(actorId: ActorId, tenantId: TenantId): RoleAssignment | undefined {
    return this.#read(this.tables.roles, roleKey(actorId, tenantId))
  }

  capabilityGrant(actorId: ActorId, capability: Capability, tenantId: TenantId): CapabilityGrant | undefined {
    return this.#read(this.tables.grants, grantKey(actorId, capability, tenantId))
  }

  ledgerEntry(entryId: LedgerEntryId): LedgerEntry | undefined {
    return this.#read(this.tables.ledger, entryId)
  }

  #read<Key, Row>(table: Table<Key, Row>, key: Key): Row | undefined {
    return this.#isLatest ? table.latest(key) : table.get(key)
  }
}
