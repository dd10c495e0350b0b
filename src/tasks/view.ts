import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { noValues } from '../base/multi-map.js'
import { checkText, textOf } from '../base/options.js'
import type { Actor } from './actor.js'
import { budgetKey, type Budget } from './budget.js'
import type { DependencyGate, DependencyReads } from './dependencies.js'
import { runningEngine, type Engine, type EngineReads } from './engine.js'
import type {
  ActorId,
  BudgetDimension,
  LedgerEntryId,
  ReservationId,
  RunId,
  SubscriptionId,
  TaskId,
  TenantId,
} from './ids.js'
import type { ForgettingReads } from './forgetting.js'
import type { TaskIndexes } from './indexes.js'
import { questionKey, type EarlyAnswer, type Question } from './question.js'
import type { Reservation, ReservationReads } from './reservation.js'
import type { RunReads } from './run-commands.js'
import { isTerminalRunState, type Run, type RunState } from './run.js'
import type { TaskTables } from './state.js'
import { durableKey, type DurableStep, type StepReads } from './step.js'
import {
  checkSystemEvent,
  matches,
  type Subscription,
  type SubscriptionReads,
  type SystemEvent,
} from './subscription.js'
import type { Task } from './task.js'
import {
  capabilitySchema,
  grantKey,
  isInForce,
  roleKey,
  type Capability,
  type CapabilityGrant,
  type LedgerEntry,
  type RoleAssignment,
  type Tenant,
  type TenantReads,
} from './tenant.js'
import type { TaskTombstone } from './tombstone.js'
import type { DurableWait, WaitReads } from './wait.js'

const none: readonly TaskId[] = []

/** The layer of the tables that a view shows, as the method that reads it. */
type Layer = 'get' | 'latest'

/** Reads by key from one layer of the tables; decisions are based on these. All are O(1) unless stated otherwise. */
export class TaskView
  implements
    DependencyReads,
    RunReads,
    ReservationReads,
    SubscriptionReads,
    TenantReads,
    EngineReads,
    StepReads,
    WaitReads,
    ForgettingReads
{
  protected readonly tables: TaskTables
  readonly #layer: Layer

  /** @internal */
  constructor(tables: TaskTables, layer: Layer) {
    this.tables = tables
    this.#layer = layer
  }

  /** Sequence of the last accepted command, 0 if there was none. */
  get latestSequence(): number {
    const { latest, committed } = this.tables.sequence
    return this.#layer === 'latest' ? latest : committed
  }

  get engine(): Engine {
    return this.tables.engine[this.#layer]('engine') ?? runningEngine
  }

  task(taskId: TaskId): Task | undefined {
    return this.tables.tasks[this.#layer](taskId)
  }

  taskByKey(key: string): TaskId | undefined {
    return this.tables.keys[this.#layer](key)?.taskId
  }

  retryOf(taskId: TaskId): TaskId | undefined {
    return this.tables.retries[this.#layer](taskId)?.taskId
  }

  run(runId: RunId): Run | undefined {
    return this.tables.runs[this.#layer](runId)
  }

  /** Runs of a task, ordered by id; O(runs of the task). */
  runsOf(taskId: TaskId): readonly Run[] {
    return this.tables.runsByTask
      .of(taskId)
      .toSorted()
      .flatMap((id) => this.run(id) ?? [])
  }

  /** Runs of a task in the order they were created. */
  *runsInOrder(taskId: TaskId): Iterable<Run> {
    for (const id of this.tables.runsByTask.of(taskId)) {
      const run = this.run(id)
      if (run !== undefined) yield run
    }
  }

  /** Runs of a task that can still change, latest first; O(runs created after the oldest of them). */
  openRunsOf(taskId: TaskId): readonly Run[] {
    const open: Run[] = []
    const ids = this.tables.runsByTask.of(taskId)
    const count = this.task(taskId)?.progress.open ?? 0
    for (let index = ids.length - 1; index >= 0 && open.length < count; index--) {
      const run = this.run(ids[index] as RunId)
      if (run !== undefined && !isTerminalRunState(run.state)) open.push(run)
    }
    return open
  }

  prerequisites(taskId: TaskId): readonly TaskId[] {
    const { dependsOn = none, after } = this.tables.prerequisites[this.#layer](taskId) ?? {}
    return after === undefined ? dependsOn : [...dependsOn, ...after]
  }

  prerequisitesOfAnyEnd(taskId: TaskId): readonly TaskId[] {
    return this.tables.prerequisites[this.#layer](taskId)?.after ?? none
  }

  hasDependents(taskId: TaskId): boolean {
    return this.tables.dependentCounts[this.#layer](taskId) !== undefined
  }

  childrenOf(taskId: TaskId): Iterable<TaskId> {
    return this.tables.tasks.keysIn(taskId)
  }

  dependentsOf(taskId: TaskId): Iterable<TaskId> {
    return this.tables.prerequisites.keysIn(taskId)
  }

  subscriptionsAbout(taskId: TaskId): Iterable<SubscriptionId> {
    return this.tables.subscriptions.keysIn(taskId)
  }

  reservationsFor(id: TaskId | RunId): Iterable<ReservationId> {
    return this.tables.reservations.keysIn(id)
  }

  /** What is left of a forgotten task. */
  tombstone(taskId: TaskId): TaskTombstone | undefined {
    return this.tables.tombstones[this.#layer](taskId)
  }

  budget(taskId: TaskId, dimension: BudgetDimension): Budget | undefined {
    checkText('task id', taskId)
    checkText('budget dimension', dimension)
    return this.tables.budgets[this.#layer](budgetKey(taskId, dimension))
  }

  budgetsFor(taskId: TaskId, dimension: BudgetDimension): readonly Budget[] {
    const budgets: Budget[] = []
    for (let next: TaskId | undefined = taskId; next !== undefined; next = this.task(next)?.spec.parentTaskId) {
      const budget = this.budget(next, dimension)
      if (budget !== undefined) budgets.push(budget)
    }
    return budgets
  }

  reservation(reservationId: ReservationId): Reservation | undefined {
    return this.tables.reservations[this.#layer](reservationId)
  }

  /** A step that a run has done. */
  step(runId: RunId, key: string): DurableStep | undefined {
    return this.tables.steps[this.#layer](durableKey(runId, key))
  }

  /** A wait of a run, open or over. */
  wait(runId: RunId, key: string): DurableWait | undefined {
    return this.tables.waits[this.#layer](durableKey(runId, key))
  }

  /** The questions asked under a name for a task. */
  question(taskId: TaskId, name: string): Question | undefined {
    return this.tables.questions[this.#layer](questionKey(taskId, name))
  }

  /** An answer that came before its question. */
  earlyAnswer(taskId: TaskId, name: string): EarlyAnswer | undefined {
    return this.tables.answers[this.#layer](questionKey(taskId, name))
  }

  subscription(subscriptionId: SubscriptionId): Subscription | undefined {
    return this.tables.subscriptions[this.#layer](subscriptionId)
  }

  actor(actorId: ActorId): Actor | undefined {
    return this.tables.actors[this.#layer](actorId)
  }

  tenant(tenantId: TenantId): Tenant | undefined {
    return this.tables.tenants[this.#layer](tenantId)
  }

  role(actorId: ActorId, tenantId: TenantId): RoleAssignment | undefined {
    checkText('actor id', actorId)
    checkText('tenant id', tenantId)
    return this.tables.roles[this.#layer](roleKey(actorId, tenantId))
  }

  capabilityGrant(actorId: ActorId, capability: Capability, tenantId: TenantId): CapabilityGrant | undefined {
    checkText('actor id', actorId)
    decode(capabilitySchema, capability, 'capability')
    checkText('tenant id', tenantId)
    return this.tables.grants[this.#layer](grantKey(actorId, capability, tenantId))
  }

  ledgerEntry(entryId: LedgerEntryId): LedgerEntry | undefined {
    return this.tables.ledger[this.#layer](entryId)
  }
}

/**
 * The committed state with its indexes, read-only. It never shows anything that a crash could take back. Iterables are
 * live: read what you need before you change anything.
 */
export class TaskProjection extends TaskView {
  readonly #indexes: TaskIndexes

  /** @internal */
  constructor(tables: TaskTables, indexes: TaskIndexes) {
    super(tables, 'get')
    this.#indexes = indexes
  }

  get taskCount(): number {
    return this.tables.tasks.size
  }

  get runCount(): number {
    return this.tables.runs.size
  }

  /** Every task in the order of creation. */
  tasks(): Iterable<Task> {
    return this.tables.tasks.rows()
  }

  /**
   * Tasks in the order of their ids, which for generated ids is the order of creation, from the first with a greater
   * id than this one. That task need not exist (any more), and finding the place costs O(log n).
   */
  *tasksAfter(taskId: TaskId | undefined): Iterable<Task> {
    const { tasksById } = this.#indexes
    for (const id of taskId === undefined ? tasksById : tasksById.after(taskId)) {
      const task = this.task(id)
      if (task !== undefined) yield task
    }
  }

  /** Runs in a state; for `scheduled`, `ready`, `retry_wait` in the order below, otherwise by id. */
  runsIn(state: RunState): Iterable<Run> {
    return this.#indexes.runs.inState(state)
  }

  countIn(state: RunState): number {
    return this.#indexes.runs.count(state)
  }

  /**
   * Scheduled runs with `scheduledAtMs <= now`, or that were due when they were created, if their dependency gate is
   * open and their task is not cancelled. Those that were due when created come first, then earliest first, ties by id;
   * O(log n) to start. Runs behind a closed gate are kept apart and cost nothing.
   */
  dueScheduled(now: number): Iterable<Run> {
    checkInstant(now)
    return this.#indexes.runs.dueScheduled(now)
  }

  /** When the next scheduled run is due, in epoch milliseconds. */
  nextScheduledAtMs(): number | undefined {
    return this.#indexes.runs.nextScheduledAtMs()
  }

  /** Runs in `retry_wait` that are due at an instant in epoch milliseconds, earliest first, ties by id. */
  dueRetries(nowMs: number): Iterable<Run> {
    checkInstant(nowMs)
    return this.#indexes.runs.dueRetries(nowMs)
  }

  /** When the next retry is due, in epoch milliseconds. */
  nextRetryAtMs(): number | undefined {
    return this.#indexes.runs.nextRetryAtMs()
  }

  /** Ready runs in selection order: priority descending, createdAtMs ascending, id ascending. */
  ready(): Iterable<Run> {
    return this.#indexes.runs.inState('ready')
  }

  /** Leased runs with `now >= expiresAtMs`, earliest expiry first. */
  expiredLeases(now: number): Iterable<Run> {
    checkInstant(now)
    return this.#indexes.runs.expiredLeases(now)
  }

  /** Every run that holds a lease, earliest expiry first. */
  leased(): Iterable<Run> {
    return this.#indexes.runs.leased()
  }

  nextLeaseExpiresAtMs(): number | undefined {
    return this.#indexes.runs.nextLeaseExpiresAtMs()
  }

  /** Tasks that depend on this one. */
  dependents(taskId: TaskId): Iterable<TaskId> {
    return this.#indexes.gates.dependents(taskId)
  }

  /**
   * `open`: no prerequisites, or all have ended, and those that had to complete have a completed run. `failed`: one
   * that had to complete ended without completing. Otherwise `waiting`.
   */
  dependencyGate(taskId: TaskId): DependencyGate {
    return this.#indexes.gates.gate(taskId)
  }

  children(taskId: TaskId): Iterable<TaskId> {
    return filtered(this.tables.tasks.keysIn(taskId), (child) => this.task(child) !== undefined)
  }

  /** Tombstones with or without a key, oldest first. */
  tombstones(which: 'with_key' | 'without_key'): Iterable<TaskTombstone> {
    const { tombstones, tombstonesWithKey } = this.#indexes
    return present(which === 'with_key' ? tombstonesWithKey : tombstones, (taskId) => this.tombstone(taskId))
  }

  /** How many tombstones without a key there are. */
  get tombstoneCount(): number {
    return this.#indexes.tombstones.size
  }

  /** Cron tasks that are not cancelled. */
  cronTasks(): Iterable<Task> {
    return present(this.#indexes.cronTasks, (taskId) => this.task(taskId))
  }

  /** All budgets, in the order in which they were allocated. */
  budgets(): Iterable<Budget> {
    return this.tables.budgets.rows()
  }

  /** Budgets of this task, without those of its ancestors. */
  budgetsOf(taskId: TaskId): Iterable<Budget> {
    return present(this.#indexes.budgets.get(taskId), (dimension) =>
      this.tables.budgets.get(budgetKey(taskId, dimension)),
    )
  }

  /** True when a budget of the task or of an ancestor is exhausted. */
  isBudgetExhausted(taskId: TaskId): boolean {
    for (let next: TaskId | undefined = taskId; next !== undefined; next = this.task(next)?.spec.parentTaskId) {
      for (const { exhausted } of this.budgetsOf(next)) if (exhausted) return true
    }
    return false
  }

  /** Open reservations, oldest first. */
  reservations(): Iterable<Reservation> {
    return this.tables.reservations.rows()
  }

  reservationsOf(runId: RunId): Iterable<Reservation> {
    return present(this.#indexes.reservations.get(runId), (id) => this.reservation(id))
  }

  /** Steps that a run has done, in order. */
  stepsOf(runId: RunId): Iterable<DurableStep> {
    return present(this.#indexes.durable.stepsOf(runId), (id) => this.tables.steps.get(id))
  }

  /** Waits of a run, open or over, in the order they began. */
  waitsOf(runId: RunId): Iterable<DurableWait> {
    return present(this.#indexes.durable.waitsOf(runId), (id) => this.tables.waits.get(id))
  }

  /** Waits of runs that can still change, in the order they began. */
  openWaits(): Iterable<DurableWait> {
    return present(this.#indexes.durable.open, (id) => this.tables.waits.get(id))
  }

  /** The open wait for the end of a child task. */
  callOf(childTaskId: TaskId): DurableWait | undefined {
    const id = this.#indexes.durable.callOf(childTaskId)
    return id === undefined ? undefined : this.tables.waits.get(id)
  }

  /** Open waits that are due at an instant in epoch milliseconds, earliest first. */
  dueWaits(nowMs: number): Iterable<DurableWait> {
    const next = this.#indexes.durable.nextDueAtMs
    return next === undefined || next > nowMs ? noValues : this.#dueWaits(nowMs)
  }

  *#dueWaits(nowMs: number): Iterable<DurableWait> {
    for (const { atMs, id } of this.#indexes.durable.due) {
      if (atMs > nowMs) return
      const wait = this.tables.waits.get(id)
      if (wait !== undefined) yield wait
    }
  }

  /** When the next wait is due, in epoch milliseconds. */
  nextWaitDueAtMs(): number | undefined {
    return this.#indexes.durable.nextDueAtMs
  }

  /**
   * Armed subscriptions that an event triggers; O(matches) by index, except that the thresholds of one task and
   * dimension are scanned.
   */
  subscriptionsFor(event: SystemEvent): Iterable<Subscription> {
    checkSystemEvent(event)
    return this.#subscriptionsFor(event)
  }

  /** True if any event may trigger a subscription. */
  get hasArmedSubscriptions(): boolean {
    return this.#indexes.subscriptions.isAnyArmed
  }

  /** Subscriptions with pending triggers that are not cancelled. */
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

  /** Registered and not deregistered. */
  isActorActive(actorId: ActorId): boolean {
    const actor = this.actor(actorId)
    return actor !== undefined && actor.deregisteredAtMs === undefined
  }

  /** Granted and not revoked. */
  hasCapability(actorId: ActorId, capability: Capability, tenantId: TenantId): boolean {
    return isInForce(this.capabilityGrant(actorId, capability, tenantId))
  }

  /** Ledger entries in the order they were appended. */
  ledger(tenantId?: TenantId): Iterable<LedgerEntry> {
    if (tenantId === undefined) return this.tables.ledger.rows()
    return present(this.#indexes.ledgerByTenant.get(tenantId), (id) => this.ledgerEntry(id))
  }

  *#subscriptionsFor(event: SystemEvent): Iterable<Subscription> {
    for (const id of this.#indexes.subscriptions.candidates(event)) {
      const subscription = this.subscription(id)
      if (subscription !== undefined && matches(subscription.filter, event)) yield subscription
    }
  }

  ledgerByKey(ledgerKey: string): Iterable<LedgerEntry> {
    return present(this.#indexes.ledgerByKey.get(ledgerKey), (id) => this.ledgerEntry(id))
  }
}

function checkInstant(input: unknown): void {
  if (typeof input === 'number' && !Number.isNaN(input)) return
  const reason = `not a number of milliseconds: ${textOf(input)}`
  throw new InvalidInputError({ subject: 'instant', field: '$', reason })
}

function* filtered<Key>(keys: Iterable<Key>, isKept: (key: Key) => boolean): Iterable<Key> {
  for (const key of keys) if (isKept(key)) yield key
}

function present<Key, Row>(keys: Iterable<Key>, read: (key: Key) => Row | undefined): Iterable<Row> {
  return keys === noValues ? noValues : rowsThere(keys, read)
}

function* rowsThere<Key, Row>(keys: Iterable<Key>, read: (key: Key) => Row | undefined): Iterable<Row> {
  for (const key of keys) {
    const row = read(key)
    if (row !== undefined) yield row
  }
}
