import { SequencedFeed } from '../base/feed.js'
import type { Logger } from '../base/logger.js'
import { SequenceCounter } from '../state/sequence.js'
import { Table } from '../state/table.js'
import type { Actor } from './actor.js'
import type { Budget } from './budget.js'
import type { Reservation, ReservationRows } from './reservation.js'
import type { DependencyRows, Prerequisites } from './dependencies.js'
import type { Engine, EngineRows } from './engine.js'
import type { ActorId, LedgerEntryId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from './ids.js'
import type { EarlyAnswer, Question } from './question.js'
import { isTerminalRunState, type Run } from './run.js'
import { RunsByTask } from './runs-by-task.js'
import type { DurableStep, StepRows } from './step.js'
import type { Subscription, SubscriptionRows } from './subscription.js'
import { defaultFeedCapacity, type TaskEnd } from './task-end.js'
import type { Found } from './task-key.js'
import type { Task } from './task.js'
import type { CapabilityGrant, LedgerEntry, RoleAssignment, Tenant, TenantRows } from './tenant.js'
import type { DurableWait, WaitRows } from './wait.js'

/** Everything the tasks room remembers (T-48); histories and leases stand in the run's row. */
export class TaskTables
  implements DependencyRows, ReservationRows, SubscriptionRows, TenantRows, EngineRows, StepRows, WaitRows
{
  readonly sequence = new SequenceCounter()
  readonly engine = new Table<'engine', Engine>()
  readonly tasks = new Table<TaskId, Task>()
  readonly keys = new Table<string, Found>()
  readonly retries = new Table<TaskId, Found>()
  readonly runs = new Table<RunId, Run>({ isSettled: ({ state }) => isTerminalRunState(state) })
  readonly runsByTask = new RunsByTask()
  readonly prerequisites = new Table<TaskId, Prerequisites>()
  readonly dependentCounts = new Table<TaskId, number>()
  readonly budgets = new Table<string, Budget>()
  readonly reservations = new Table<ReservationId, Reservation>()
  readonly steps = new Table<string, DurableStep>()
  readonly waits = new Table<string, DurableWait>()
  readonly questions = new Table<string, Question>()
  readonly answers = new Table<string, EarlyAnswer>()
  readonly subscriptions = new Table<SubscriptionId, Subscription>()
  readonly actors = new Table<ActorId, Actor>()
  readonly tenants = new Table<TenantId, Tenant>()
  readonly roles = new Table<string, RoleAssignment>()
  readonly grants = new Table<string, CapabilityGrant>()
  readonly ledger = new Table<LedgerEntryId, LedgerEntry>()
  readonly ends: SequencedFeed<TaskEnd>

  /** `logger` hears of consumers of the feed that throw. */
  constructor(feedCapacity = defaultFeedCapacity, logger?: Logger) {
    this.ends = new SequencedFeed(feedCapacity, logger)
  }
}
