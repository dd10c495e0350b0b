import type { BudgetDimension } from '../budget.js'
import type {
  ActorId,
  AttemptId,
  LedgerEntryId,
  ReservationId,
  RunId,
  SubscriptionId,
  TaskId,
  TenantId,
} from '../ids.js'
import type { RunState } from '../run.js'

type Nothing = Record<string, never>

/** Which lease command was refused. */
export type LeaseAction = 'acquire' | 'heartbeat' | 'expire' | 'release'

interface LeaseRefusal {
  readonly runId: RunId
  readonly event: LeaseAction
}

/** Data of the 33 refusals of spec mutation authority 3.5, by code. */
export interface SheetRefusalData {
  sequence_overflow: Nothing
  non_monotonic_sequence: { readonly expected: number; readonly provided: number }
  unknown_run: { readonly runId: RunId }
  unknown_task: { readonly taskId: TaskId }
  task_already_exists: { readonly taskId: TaskId }
  task_already_cancelled: { readonly taskId: TaskId }
  engine_already_paused: Nothing
  engine_not_paused: Nothing
  run_already_exists: { readonly runId: RunId }
  run_create_requires_scheduled: { readonly runId: RunId; readonly state: RunState }
  previous_state_mismatch: { readonly runId: RunId; readonly expected: RunState; readonly actual: RunState }
  invalid_transition: { readonly runId: RunId; readonly from: RunState; readonly to: RunState }
  attempt_start_unknown_run: { readonly runId: RunId }
  attempt_start_requires_running: { readonly runId: RunId; readonly state: RunState }
  attempt_start_already_active: { readonly runId: RunId; readonly activeAttemptId: AttemptId }
  attempt_finish_unknown_run: { readonly runId: RunId }
  attempt_finish_requires_running: { readonly runId: RunId; readonly state: RunState }
  attempt_finish_missing_active: { readonly runId: RunId }
  attempt_finish_attempt_mismatch: {
    readonly runId: RunId
    readonly expectedAttemptId: AttemptId
    readonly providedAttemptId: AttemptId
  }
  lease_unknown_run: LeaseRefusal
  lease_invalid_run_state: LeaseRefusal & { readonly state: RunState }
  lease_already_active: { readonly runId: RunId }
  lease_missing_active: LeaseRefusal
  lease_owner_mismatch: LeaseRefusal
  lease_expiry_mismatch: LeaseRefusal & { readonly expectedExpiresAtMs: number; readonly providedExpiresAtMs: number }
  lease_heartbeat_expiry_regression: {
    readonly runId: RunId
    readonly previousExpiresAtMs: number
    readonly proposedExpiresAtMs: number
  }
  empty_dependency_list: { readonly taskId: TaskId }
  run_suspend_requires_running: { readonly runId: RunId; readonly state: RunState }
  run_resume_requires_suspended: { readonly runId: RunId; readonly state: RunState }
  budget_not_allocated: { readonly taskId: TaskId; readonly dimension: BudgetDimension }
  subscription_already_exists: { readonly subscriptionId: SubscriptionId }
  unknown_subscription: { readonly subscriptionId: SubscriptionId }
  subscription_already_cancelled: { readonly subscriptionId: SubscriptionId }
}

/** Data of the refusals that close the gaps of 3.4, 5.5 and Appendix A, by code. */
export interface AddedRefusalData {
  /** G1, G2. */
  attempt_still_active: { readonly runId: RunId; readonly activeAttemptId: AttemptId }
  /** 6.6 would refuse the snapshot. */
  cancel_before_create: { readonly taskId: TaskId; readonly createdAtMs: number; readonly cancelledAtMs: number }
  /** G3. */
  resume_before_pause: { readonly pausedAtMs: number; readonly resumedAtMs: number }
  /** G4. */
  attempt_id_reused: { readonly runId: RunId; readonly attemptId: AttemptId }
  /** G5. */
  attempt_count_overflow: { readonly runId: RunId }
  /** G6; `cycleThrough` is the prerequisite that leads back. */
  dependency_cycle: { readonly taskId: TaskId; readonly cycleThrough: TaskId }
  /** D-8: a cancelled task starts nothing any more. */
  run_of_cancelled_task: { readonly runId: RunId; readonly taskId: TaskId }
  /** G8. */
  lease_still_held: { readonly runId: RunId; readonly owner: string }
  /** G9. */
  run_create_requires_unstarted: { readonly runId: RunId; readonly attemptCount: number }
  /** D-28: the run is leased and the command names no token. */
  fencing_token_required: { readonly runId: RunId }
  /** D-28: somebody else holds the run now, or nobody. */
  fencing_token_superseded: { readonly runId: RunId; readonly provided: number; readonly current: number | undefined }
  /** 7.9: the parent is unknown or finished. */
  orphan_prevention: { readonly taskId: TaskId; readonly parentTaskId: TaskId }
  depth_limit_exceeded: { readonly depth: number; readonly limit: number }
  budget_already_allocated: { readonly taskId: TaskId; readonly dimension: BudgetDimension }
  budget_not_raised: {
    readonly taskId: TaskId
    readonly dimension: BudgetDimension
    readonly limit: number
    readonly newLimit: number
  }
  /** The reservation would exceed the ledger of `taskId`. */
  budget_exceeded: {
    readonly taskId: TaskId
    readonly dimension: BudgetDimension
    readonly limit: number
    readonly consumed: number
    readonly reserved: number
    readonly amount: number
  }
  budget_overflow: { readonly taskId: TaskId; readonly dimension: BudgetDimension }
  reservation_already_exists: { readonly reservationId: ReservationId }
  unknown_reservation: { readonly reservationId: ReservationId }
  subscription_already_triggered: { readonly subscriptionId: SubscriptionId }
  subscription_not_triggered: { readonly subscriptionId: SubscriptionId }
  unknown_actor: { readonly actorId: ActorId }
  unknown_tenant: { readonly tenantId: TenantId }
  ledger_entry_already_exists: { readonly entryId: LedgerEntryId }
}

/** Data of every refusal, by code. */
export interface RefusalData extends SheetRefusalData, AddedRefusalData {}

/** One line for people per code. */
export const refusalMessages: { readonly [Code in keyof RefusalData]: (data: RefusalData[Code]) => string } = {
  sequence_overflow: () => 'no sequence is left',
  non_monotonic_sequence: ({ expected, provided }) => `the next sequence is ${expected}, not ${provided}: read again`,
  unknown_run: ({ runId }) => `no run ${runId}`,
  unknown_task: ({ taskId }) => `no task ${taskId}`,
  task_already_exists: ({ taskId }) => `task ${taskId} exists already`,
  task_already_cancelled: ({ taskId }) => `task ${taskId} is cancelled`,
  engine_already_paused: () => 'the engine is paused already',
  engine_not_paused: () => 'the engine is not paused',
  run_already_exists: ({ runId }) => `run ${runId} exists already`,
  run_create_requires_scheduled: ({ runId, state }) => `run ${runId} must be created scheduled, not ${state}`,
  previous_state_mismatch: ({ runId, expected, actual }) => `run ${runId} is ${actual}, not ${expected}: read again`,
  invalid_transition: ({ runId, from, to }) => `run ${runId} cannot go from ${from} to ${to}`,
  attempt_start_unknown_run: ({ runId }) => `cannot start an attempt: no run ${runId}`,
  attempt_start_requires_running: ({ runId, state }) => `cannot start an attempt: run ${runId} is ${state}`,
  attempt_start_already_active: ({ runId, activeAttemptId }) => `run ${runId} has attempt ${activeAttemptId} under way`,
  attempt_finish_unknown_run: ({ runId }) => `cannot finish an attempt: no run ${runId}`,
  attempt_finish_requires_running: ({ runId, state }) => `cannot finish an attempt: run ${runId} is ${state}`,
  attempt_finish_missing_active: ({ runId }) => `run ${runId} has no attempt under way`,
  attempt_finish_attempt_mismatch: ({ expectedAttemptId, providedAttemptId }) =>
    `attempt ${expectedAttemptId} is under way, not ${providedAttemptId}`,
  lease_unknown_run: ({ runId, event }) => `cannot ${event} a lease: no run ${runId}`,
  lease_invalid_run_state: ({ runId, event, state }) => `cannot ${event} a lease: run ${runId} is ${state}`,
  lease_already_active: ({ runId }) => `run ${runId} is leased already`,
  lease_missing_active: ({ runId, event }) => `cannot ${event} a lease: run ${runId} has none`,
  lease_owner_mismatch: ({ runId, event }) => `cannot ${event} a lease: run ${runId} has another owner`,
  lease_expiry_mismatch: ({ event, expectedExpiresAtMs, providedExpiresAtMs }) =>
    `cannot ${event} a lease: it expires at ${expectedExpiresAtMs}, not ${providedExpiresAtMs}`,
  lease_heartbeat_expiry_regression: ({ previousExpiresAtMs, proposedExpiresAtMs }) =>
    `a heartbeat cannot bring the expiry ${previousExpiresAtMs} forward to ${proposedExpiresAtMs}`,
  empty_dependency_list: ({ taskId }) => `no prerequisites given for task ${taskId}`,
  run_suspend_requires_running: ({ runId, state }) => `cannot suspend: run ${runId} is ${state}`,
  run_resume_requires_suspended: ({ runId, state }) => `cannot resume: run ${runId} is ${state}`,
  budget_not_allocated: ({ taskId, dimension }) => `task ${taskId} has no ${dimension} budget`,
  subscription_already_exists: ({ subscriptionId }) => `subscription ${subscriptionId} exists already`,
  unknown_subscription: ({ subscriptionId }) => `no subscription ${subscriptionId}`,
  subscription_already_cancelled: ({ subscriptionId }) => `subscription ${subscriptionId} is cancelled`,
  attempt_still_active: ({ activeAttemptId }) => `finish attempt ${activeAttemptId} first`,
  cancel_before_create: ({ createdAtMs, cancelledAtMs }) =>
    `cannot cancel at ${cancelledAtMs}, created at ${createdAtMs}`,
  resume_before_pause: ({ pausedAtMs, resumedAtMs }) => `cannot resume at ${resumedAtMs}, paused at ${pausedAtMs}`,
  attempt_id_reused: ({ runId, attemptId }) => `run ${runId} has had an attempt ${attemptId}`,
  attempt_count_overflow: ({ runId }) => `run ${runId} can count no further attempt`,
  dependency_cycle: ({ taskId, cycleThrough }) => `task ${taskId} cannot wait for ${cycleThrough}, which waits for it`,
  run_of_cancelled_task: ({ runId, taskId }) => `run ${runId} cannot go on: task ${taskId} is cancelled`,
  lease_still_held: ({ runId, owner }) => `release the lease of ${owner} on run ${runId} first`,
  run_create_requires_unstarted: ({ runId }) => `run ${runId} must be created without attempts`,
  fencing_token_required: ({ runId }) => `run ${runId} is leased: name the fencing token`,
  fencing_token_superseded: ({ runId, provided }) => `token ${provided} no longer holds run ${runId}: stop working`,
  orphan_prevention: ({ parentTaskId }) => `parent task ${parentTaskId} is unknown or finished`,
  depth_limit_exceeded: ({ depth, limit }) => `a task at depth ${depth} exceeds the limit of ${limit}`,
  budget_already_allocated: ({ taskId, dimension }) => `task ${taskId} has a ${dimension} budget: replenish it instead`,
  budget_not_raised: ({ limit, newLimit }) => `a replenishment raises the limit ${limit}, it does not set ${newLimit}`,
  budget_exceeded: ({ taskId, dimension, limit, consumed, reserved, amount }) =>
    `${amount} of ${dimension} exceed the budget of task ${taskId}: limit ${limit}, spent ${consumed}, reserved ${reserved}`,
  budget_overflow: ({ taskId, dimension }) => `the ${dimension} ledger of task ${taskId} can count no further`,
  reservation_already_exists: ({ reservationId }) => `reservation ${reservationId} is open already`,
  unknown_reservation: ({ reservationId }) => `no open reservation ${reservationId}`,
  subscription_already_triggered: ({ subscriptionId }) =>
    `one-shot subscription ${subscriptionId} was triggered already`,
  subscription_not_triggered: ({ subscriptionId }) => `subscription ${subscriptionId} has no trigger to consume`,
  unknown_actor: ({ actorId }) => `no actor ${actorId}`,
  unknown_tenant: ({ tenantId }) => `no tenant ${tenantId}`,
  ledger_entry_already_exists: ({ entryId }) => `ledger entry ${entryId} exists already`,
}
