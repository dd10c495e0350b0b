import { MultiMap } from '../base/multi-map.js'
import { OrderedSet } from '../base/ordered-set.js'
import { GateIndex } from './dependencies.js'
import { DurableIndex } from './durable-index.js'
import type { BudgetDimension, LedgerEntryId, ReservationId, RunId, TaskId, TenantId } from './ids.js'
import { RunIndex } from './run-index.js'
import { isTerminalRunState, type Run } from './run.js'
import type { TaskTables } from './state.js'
import { SubscriptionIndex } from './subscription.js'
import { phaseOf, type Task } from './task.js'

/** The runs and tasks that a commit has ended, each once. */
export interface Ended {
  readonly runs: readonly RunId[]
  readonly tasks: readonly TaskId[]
}

const nothingEnded: Ended = { runs: [], tasks: [] }

/** All indexes over the committed tables, updated within each commit. */
export class TaskIndexes {
  readonly runs: RunIndex
  readonly gates: GateIndex
  readonly subscriptions = new SubscriptionIndex()
  readonly durable: DurableIndex
  /** Every task by its id, so that a list can be continued anywhere. */
  readonly tasksById = new OrderedSet<TaskId>((one, other) => (one < other ? -1 : one > other ? 1 : 0))
  readonly cronTasks = new Set<TaskId>()
  /** Tombstones without a key and with one, oldest first. */
  readonly tombstones = new Set<TaskId>()
  readonly tombstonesWithKey = new Set<TaskId>()
  readonly budgets = new MultiMap<TaskId, BudgetDimension>()
  readonly reservations = new MultiMap<RunId, ReservationId>()
  readonly ledgerByTenant = new MultiMap<TenantId, LedgerEntryId>()
  readonly ledgerByKey = new MultiMap<string, LedgerEntryId>()
  readonly #tables: TaskTables
  #endedRuns: RunId[] = []
  #endedTasks: TaskId[] = []

  constructor(tables: TaskTables) {
    this.#tables = tables
    this.runs = new RunIndex(
      (taskId) => this.#mayRun(taskId),
      (runId) => tables.runs.get(runId),
    )
    this.durable = new DurableIndex((runId) => !isTerminalRunState(tables.runs.get(runId)?.state ?? 'cancelled'))
    this.gates = new GateIndex(
      (taskId) => tables.tasks.get(taskId),
      (taskId) => this.#updateGate(taskId),
    )
    tables.runs.listen((_, before, after) => this.#onRun(before, after))
    tables.tasks.listen((taskId, before, after) => this.#onTask(taskId, before, after))
    tables.prerequisites.listen((taskId, before, after) => this.gates.declare(taskId, before, after))
    tables.subscriptions.listen((id, before, after) => this.subscriptions.update(id, before, after))
    tables.budgets.listen((_, before, after) => {
      if (before === undefined && after !== undefined) this.budgets.add(after.taskId, after.dimension)
      if (before !== undefined && after === undefined) this.budgets.delete(before.taskId, before.dimension)
    })
    tables.reservations.listen((id, before, after) => {
      if (after?.runId !== undefined) this.reservations.add(after.runId, id)
      else if (before?.runId !== undefined) this.reservations.delete(before.runId, id)
    })
    tables.tombstones.listen((taskId, before, after) => {
      const kept = (before ?? after)?.key === undefined ? this.tombstones : this.tombstonesWithKey
      if (after === undefined) kept.delete(taskId)
      else kept.add(taskId)
    })
    tables.steps.listen((id, before, after) => this.durable.updateStep(id, before, after))
    tables.waits.listen((id, before, after) => this.durable.updateWait(id, before, after))
    tables.ledger.listen((entryId, _, after) => {
      if (after === undefined) return
      this.ledgerByTenant.add(after.tenantId, entryId)
      this.ledgerByKey.add(after.ledgerKey, entryId)
    })
  }

  /** What has ended since the last call. */
  takeEnded(): Ended {
    if (this.#endedRuns.length === 0 && this.#endedTasks.length === 0) return nothingEnded
    const ended = { runs: this.#endedRuns, tasks: this.#endedTasks }
    this.#endedRuns = []
    this.#endedTasks = []
    return ended
  }

  #onRun(before: Run | undefined, after: Run | undefined): void {
    this.runs.update(before, after)
    if (before === undefined || after === undefined || before.state === after.state) return
    if (!isTerminalRunState(after.state)) return
    this.#endedRuns.push(after.id)
    this.durable.onRunEnded(after.id, (id) => this.#tables.waits.get(id))
  }

  #onTask(taskId: TaskId, before: Task | undefined, after: Task | undefined): void {
    if (before === undefined) this.tasksById.add(taskId)
    else if (after === undefined) this.tasksById.delete(taskId)
    if (after?.spec !== before?.spec || after?.cancelledAtMs !== before?.cancelledAtMs) {
      if (after?.spec.runPolicy.type === 'cron' && after.cancelledAtMs === undefined) this.cronTasks.add(taskId)
      else this.cronTasks.delete(taskId)
    }
    if (after?.cancelledAtMs !== undefined && before?.cancelledAtMs === undefined) this.#updateGate(taskId)
    if (before !== undefined && after !== undefined && phaseOf(before) === 'open' && phaseOf(after) !== 'open') {
      this.#endedTasks.push(taskId)
    }
    this.gates.update(taskId, before, after)
  }

  #mayRun(taskId: TaskId): boolean {
    return this.#tables.tasks.get(taskId)?.cancelledAtMs === undefined && this.gates.gate(taskId) === 'open'
  }

  #updateGate(taskId: TaskId): void {
    this.runs.updateGate(this.#scheduledRunsOf(taskId), this.#mayRun(taskId))
  }

  *#scheduledRunsOf(taskId: TaskId): Iterable<Run> {
    for (const id of this.#tables.runsByTask.of(taskId)) {
      const run = this.#tables.runs.get(id)
      if (run?.state === 'scheduled') yield run
    }
  }
}
