import { TaskError } from '../errors.js'
import type { EventOf, EventType, TaskEvent } from '../events.js'
import type { Draft } from '../projection/draft.js'
import * as budgets from './budgets.js'
import * as engine from './engine.js'
import * as platform from './platform.js'
import * as runs from './runs.js'
import * as subscriptions from './subscriptions.js'
import * as tasks from './tasks.js'

/** What each event does to the state (spec mutation authority 5.2). */
const evolutions: { readonly [Type in EventType]: (draft: Draft, event: EventOf<Type>) => void } = {
  task_created: tasks.taskCreated,
  run_created: runs.runCreated,
  run_state_changed: runs.runStateChanged,
  attempt_started: runs.attemptStarted,
  attempt_finished: runs.attemptFinished,
  task_cancelled: tasks.taskCancelled,
  run_cancelled: runs.runCancelled,
  lease_acquired: runs.leaseAcquired,
  lease_heartbeat: runs.leaseHeartbeat,
  lease_expired: runs.leaseExpired,
  lease_released: runs.leaseReleased,
  engine_paused: engine.enginePaused,
  engine_resumed: engine.engineResumed,
  dependency_declared: tasks.dependencyDeclared,
  run_suspended: runs.runSuspended,
  run_resumed: runs.runResumed,
  budget_allocated: budgets.budgetAllocated,
  budget_consumed: budgets.budgetConsumed,
  budget_exhausted: budgets.budgetExhausted,
  budget_replenished: budgets.budgetReplenished,
  subscription_created: subscriptions.subscriptionCreated,
  subscription_triggered: subscriptions.subscriptionTriggered,
  subscription_cancelled: subscriptions.subscriptionCancelled,
  actor_registered: platform.actorRegistered,
  actor_deregistered: platform.actorDeregistered,
  actor_heartbeat: platform.actorHeartbeat,
  tenant_created: platform.tenantCreated,
  role_assigned: platform.roleAssigned,
  capability_granted: platform.capabilityGranted,
  capability_revoked: platform.capabilityRevoked,
  ledger_entry_appended: platform.ledgerEntryAppended,
  budget_reserved: budgets.budgetReserved,
  budget_settled: budgets.budgetSettled,
  budget_released: budgets.budgetReleased,
  subscription_consumed: subscriptions.subscriptionConsumed,
}

/**
 * Applies one event to a draft: the one transition function of validation, live apply and replay.
 *
 * Raises `replay_*` and leaves the draft's earlier writes alone when the event is illegal; sequences may skip numbers
 * but never repeat one.
 */
export function evolve(draft: Draft, event: TaskEvent): void {
  const latest = draft.view.latestSequence
  if (event.sequence <= latest) throw new TaskError('replay_sequence', { sequence: event.sequence, latest })
  const evolution = evolutions[event.type] as (draft: Draft, event: TaskEvent) => void
  evolution(draft, event)
  draft.put(draft.tables.sequence, 'latest', event.sequence)
}
