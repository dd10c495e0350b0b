import { SequencedFeed } from '../base/feed.js'
import type { Logger } from '../base/logger.js'
import { SequenceCounter } from '../state/sequence.js'
import { Table } from '../state/table.js'
import type { Actor } from './actor.js'
import type { Budget } from './budget.js'
import type { Reservation, ReservationRows } from './reservation.js'
import type { Prerequisites } from './dependencies.js'
import type { Engine, EngineRows } from './engine.js'
import type { ForgettingRows } from './forgetting.js'
import type { ActorId, LedgerEntryId, ReservationId, RunId, SubscriptionId, TaskId, TenantId } from './ids.js'
import type { EarlyAnswer, Question } from './question.js'
import { isTerminalRunState, type Run } from './run.js'
import { RunsByTask } from './runs-by-task.js'
import type { DurableStep } from './step.js'
import type { Subscription } from './subscription.js'
import { defaultFeedCapacity, type TaskEnd } from './task-end.js'
import type { Found } from './task-key.js'
import type { Task } from './task.js'
import type { CapabilityGrant, LedgerEntry, RoleAssignment, Tenant, TenantRows } from './tenant.js'
import type { TaskTombstone } from './tombstone.js'
import type { DurableWait } from './wait.js'

const none: readonly TaskId[] = []

function ofTask({ taskId }: { readonly taskId: TaskId }): readonly TaskId[] {
  return [taskId]
}

/** All tables of the tasks room (T-48); histories and leases are part of the run's row. */
export class TaskTables implements ForgettingRows, ReservationRows, TenantRows, EngineRows {
  readonly sequence = new SequenceCounter()
  readonly engine = new Table<'engine', Engine>()
  readonly tasks = new Table<TaskId, Task>({
    groupsOf: ({ spec }) => (spec.parentTaskId === undefined ? none : [spec.parentTaskId]),
  })
  readonly keys = new Table<string, Found>()
  readonly retries = new Table<TaskId, Found>()
  readonly runs = new Table<RunId, Run>({ isSettled: ({ state }) => isTerminalRunState(state) })
  readonly runsByTask = new RunsByTask()
  readonly prerequisites = new Table<TaskId, Prerequisites>({
    groupsOf: ({ dependsOn, after = none }) => [...dependsOn, ...after],
  })
  readonly dependentCounts = new Table<TaskId, number>()
  readonly budgets = new Table<string, Budget>({ groupsOf: ofTask })
  readonly reservations = new Table<ReservationId, Reservation>({
    groupsOf: ({ taskId, runId }) => (runId === undefined ? [taskId] : [taskId, runId]),
  })
  readonly steps = new Table<string, DurableStep>({ groupsOf: ({ runId }) => [runId] })
  readonly waits = new Table<string, DurableWait>({ groupsOf: ({ runId }) => [runId] })
  readonly questions = new Table<string, Question>({ groupsOf: ofTask })
  readonly answers = new Table<string, EarlyAnswer>({ groupsOf: ofTask })
  /** Indexed by task and by the events that trigger them. */
  readonly subscriptions = new Table<SubscriptionId, Subscription>({
    groupsOf: ({ taskId, filter }) => (filter.type === 'custom' ? [taskId] : [taskId, filter.taskId]),
  })
  readonly tombstones = new Table<TaskId, TaskTombstone>()
  readonly actors = new Table<ActorId, Actor>()
  readonly tenants = new Table<TenantId, Tenant>()
  readonly roles = new Table<string, RoleAssignment>()
  readonly grants = new Table<string, CapabilityGrant>()
  readonly ledger = new Table<LedgerEntryId, LedgerEntry>()
  readonly ends: SequencedFeed<TaskEnd>

  /** `logger` receives errors thrown by consumers of the feed. */
  constructor(feedCapacity = defaultFeedCapacity, logger?: Logger) {
    this.ends = new SequencedFeed(feedCapacity, logger)
  }
}
