import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import { StatewardError } from '../base/errors.js'
import { textOf } from '../base/options.js'
import type { StateErrorData } from '../state/errors.js'
import type {
  ActorId,
  AttemptId,
  BudgetDimension,
  LedgerEntryId,
  ReservationId,
  RunId,
  SubscriptionId,
  TaskId,
  TenantId,
} from './ids.js'
import type { RunState, TerminalRunState } from '../../machines/run-vocabulary.js'
import type { TaskUse } from './task-use.js'
import type { AttemptResult, Capability } from './vocabulary.js'

/** The lease command that was refused. */
export type LeaseAction = 'acquire' | 'heartbeat' | 'expire' | 'release'

interface LeaseRefusal {
  readonly runId: RunId
  readonly event: LeaseAction
}

interface OfRun {
  readonly runId: RunId
}

/** A step or wait of a run. */
interface OfDurable extends OfRun {
  readonly key: string
}

/** Raised when a value is built (T-31). */
export const constructionMessages = {
  invalid_task_id: (_: { readonly taskId: TaskId }) => 'a task id must not be the nil UUID',
  invalid_run_id: (_: { readonly runId: RunId }) => 'a run id must not be the nil UUID',
  empty_kind: () => 'kind must name a handler',
  invalid_repeat_count: (_: { readonly count: number }) => 'a repeat policy needs a count of at least 1',
  invalid_repeat_interval_ms: (_: { readonly intervalMs: number }) =>
    'a repeat policy needs an interval of at least 1 millisecond',
  cron_policy_error: ({ message }: { readonly message: string }) => `cron policy refused: ${message}`,
  empty_task_key: () => 'the key of a task must not be empty; leave it out for none',
  invalid_max_attempts: (_: { readonly maxAttempts: number }) => 'maxAttempts must be at least 1',
  invalid_max_losses: (_: { readonly maxLosses: number }) => 'maxLosses must be at least 1, or absent for 3',
  zero_timeout: () => 'timeoutMs must be at least 1, or absent for none',
  empty_concurrency_key: () => 'concurrencyKey must not be empty; leave it out for none',
  empty_capabilities: () => 'a list of capabilities must not be empty',
  empty_capability_entry: () => 'a capability must not be empty text',
  success_with_error: ({ result }: { readonly result: AttemptResult; readonly error: string | undefined }) =>
    `a ${result} outcome carries no error`,
  non_success_without_error: ({ result }: { readonly result: AttemptResult }) =>
    `a ${result} outcome needs an error text`,
  non_success_with_output: ({ result }: { readonly result: AttemptResult }) => `a ${result} outcome carries no output`,
  content_type_without_output: ({ result }: { readonly result: AttemptResult }) =>
    `a ${result} outcome has no output that a content type could be of`,
  failure_without_class: () => 'a failure says whether it is retryable or terminal',
  class_without_failure: ({ result }: { readonly result: AttemptResult }) =>
    `a ${result} outcome has no failure class, reason or cause`,
  empty_lease_owner: () => 'a lease owner must not be empty',
  /** `reason` is present when there is more to say. */
  invalid_budget_dimension: ({ name, reason }: { readonly name: string; readonly reason?: string }) =>
    `not a budget dimension: ${name}${reason === undefined ? '' : ` (${reason})`}`,
  zero_limit: ({ dimension }: { readonly dimension: BudgetDimension }) => `a ${dimension} budget needs a limit above 0`,
  zero_amount: ({ dimension }: { readonly dimension: BudgetDimension }) => `an amount of ${dimension} must be above 0`,
  invalid_threshold_percent: ({ thresholdPercent }: { readonly thresholdPercent: number }) =>
    `a threshold is 0 to 100 percent, not ${thresholdPercent}`,
  empty_custom_key: () => 'a custom event key must not be empty',
  empty_identity: () => 'an actor identity must not be empty',
  zero_heartbeat_interval: () => 'a heartbeat interval is at least 1 millisecond',
  zero_timeout_multiplier: () => 'a heartbeat timeout multiplier is at least 1',
  /** `length` counts UTF-8 bytes. */
  department_id_too_long: ({ length }: { readonly length: number }) =>
    `a department label has at most 128 UTF-8 bytes, not ${length}`,
  department_id_empty: () => 'a department label must not be empty',
  empty_tenant_name: () => 'a tenant name must not be empty',
  empty_role_name: () => 'a custom role needs a name',
  empty_capability_name: () => 'a custom capability needs a name',
  empty_ledger_key: () => 'a ledger key must not be empty',
}

/** Refusals: the command was well formed, but the current state does not allow it. */
export const refusalMessages = {
  unknown_run: ({ runId }: { readonly runId: RunId }) => `no run ${runId}`,
  unknown_task: ({ taskId }: { readonly taskId: TaskId }) => `no task ${taskId}`,
  task_already_exists: ({ taskId }: { readonly taskId: TaskId }) => `task ${taskId} exists already`,
  /** Another task has the key: one with another input, or one submitted directly through the authority. */
  key_in_use: ({ key, taskId }: { readonly key: string; readonly taskId: TaskId }) =>
    `the key ${key} belongs to task ${taskId}`,
  /** Only failed tasks can be retried. */
  retry_requires_failed: ({ taskId, phase }: { readonly taskId: TaskId; readonly phase: string }) =>
    `task ${taskId} cannot be retried: it is ${phase}`,
  already_retried: ({ taskId, retryTaskId }: { readonly taskId: TaskId; readonly retryTaskId: TaskId }) =>
    `task ${taskId} was retried as ${retryTaskId}`,
  task_already_cancelled: ({ taskId }: { readonly taskId: TaskId }) => `task ${taskId} is cancelled`,
  task_not_ended: ({ taskId }: { readonly taskId: TaskId }) => `task ${taskId} has not ended`,
  run_not_ended: ({ runId, state }: { readonly runId: RunId; readonly state: RunState }) =>
    `run ${runId} has not ended: it is ${state}`,
  /** Something that has not ended refers to the task. */
  task_in_use: ({ taskId, use }: { readonly taskId: TaskId; readonly use: TaskUse }) =>
    `task ${taskId} cannot be forgotten: a ${use.by} refers to it`,
  /** The task has ended and was forgotten; only a tombstone is left. */
  no_longer_retained: ({
    taskId,
    status,
  }: {
    readonly taskId: TaskId
    readonly status: TerminalRunState
    readonly forgottenAtMs: number
  }) => `task ${taskId} has ended, ${status}, and was forgotten since`,
  task_already_ended: ({ taskId }: { readonly taskId: TaskId }) => `task ${taskId} has ended`,
  /** Only repeating tasks have a schedule. */
  task_not_repeating: ({ taskId }: { readonly taskId: TaskId }) => `task ${taskId} has no schedule, or would have none`,
  /** The task would never run and never end: cancel it instead. */
  schedule_without_runs: ({ taskId }: { readonly taskId: TaskId }) => `task ${taskId} would have no runs`,
  engine_already_paused: () => 'the engine is paused already',
  engine_not_paused: () => 'the engine is not paused',
  run_already_exists: ({ runId }: { readonly runId: RunId }) => `run ${runId} exists already`,
  run_create_requires_scheduled: ({ runId, state }: { readonly runId: RunId; readonly state: RunState }) =>
    `run ${runId} must be created scheduled, not ${state}`,
  previous_state_mismatch: ({
    runId,
    expected,
    actual,
  }: {
    readonly runId: RunId
    readonly expected: RunState
    readonly actual: RunState
  }) => `run ${runId} is ${actual}, not ${expected}: read again`,
  invalid_transition: ({
    runId,
    from,
    to,
  }: {
    readonly runId: RunId
    readonly from: RunState
    readonly to: RunState
  }) => `run ${runId} cannot go from ${from} to ${to}`,
  attempt_start_unknown_run: ({ runId }: { readonly runId: RunId }) => `cannot start an attempt: no run ${runId}`,
  attempt_start_requires_running: ({ runId, state }: { readonly runId: RunId; readonly state: RunState }) =>
    `cannot start an attempt: run ${runId} is ${state}`,
  attempt_start_already_active: ({
    runId,
    activeAttemptId,
  }: {
    readonly runId: RunId
    readonly activeAttemptId: AttemptId
  }) => `run ${runId} has attempt ${activeAttemptId} under way`,
  attempt_finish_unknown_run: ({ runId }: { readonly runId: RunId }) => `cannot finish an attempt: no run ${runId}`,
  attempt_finish_requires_running: ({ runId, state }: { readonly runId: RunId; readonly state: RunState }) =>
    `cannot finish an attempt: run ${runId} is ${state}`,
  attempt_finish_missing_active: ({ runId }: { readonly runId: RunId }) => `run ${runId} has no attempt under way`,
  attempt_finish_attempt_mismatch: ({
    expectedAttemptId,
    providedAttemptId,
  }: {
    readonly runId: RunId
    readonly expectedAttemptId: AttemptId
    readonly providedAttemptId: AttemptId
  }) => `attempt ${expectedAttemptId} is under way, not ${providedAttemptId}`,
  lease_unknown_run: ({ runId, event }: LeaseRefusal) => `cannot ${event} a lease: no run ${runId}`,
  lease_invalid_run_state: ({ runId, event, state }: LeaseRefusal & { readonly state: RunState }) =>
    `cannot ${event} a lease: run ${runId} is ${state}`,
  lease_already_active: ({ runId }: { readonly runId: RunId }) => `run ${runId} is leased already`,
  lease_missing_active: ({ runId, event }: LeaseRefusal) => `cannot ${event} a lease: run ${runId} has none`,
  lease_owner_mismatch: ({ runId, event }: LeaseRefusal) => `cannot ${event} a lease: run ${runId} has another owner`,
  lease_expiry_mismatch: ({
    event,
    expectedExpiresAtMs,
    providedExpiresAtMs,
  }: LeaseRefusal & { readonly expectedExpiresAtMs: number; readonly providedExpiresAtMs: number }) =>
    `cannot ${event} a lease: it expires at ${expectedExpiresAtMs}, not ${providedExpiresAtMs}`,
  lease_heartbeat_expiry_regression: ({
    previousExpiresAtMs,
    proposedExpiresAtMs,
  }: {
    readonly runId: RunId
    readonly previousExpiresAtMs: number
    readonly proposedExpiresAtMs: number
  }) => `a heartbeat cannot bring the expiry ${previousExpiresAtMs} forward to ${proposedExpiresAtMs}`,
  empty_dependency_list: ({ taskId }: { readonly taskId: TaskId }) => `no prerequisites given for task ${taskId}`,
  /** A task is listed as a prerequisite in both ways, in `dependsOn` and `after`. */
  conflicting_dependency: ({ taskId, prerequisite }: { readonly taskId: TaskId; readonly prerequisite: TaskId }) =>
    `task ${taskId} cannot wait for the completion and for any end of ${prerequisite}`,
  run_suspend_requires_running: ({ runId, state }: { readonly runId: RunId; readonly state: RunState }) =>
    `cannot suspend: run ${runId} is ${state}`,
  run_resume_requires_suspended: ({ runId, state }: { readonly runId: RunId; readonly state: RunState }) =>
    `cannot resume: run ${runId} is ${state}`,
  budget_not_allocated: ({ taskId, dimension }: { readonly taskId: TaskId; readonly dimension: BudgetDimension }) =>
    `task ${taskId} has no ${dimension} budget`,
  subscription_already_exists: ({ subscriptionId }: { readonly subscriptionId: SubscriptionId }) =>
    `subscription ${subscriptionId} exists already`,
  unknown_subscription: ({ subscriptionId }: { readonly subscriptionId: SubscriptionId }) =>
    `no subscription ${subscriptionId}`,
  subscription_already_cancelled: ({ subscriptionId }: { readonly subscriptionId: SubscriptionId }) =>
    `subscription ${subscriptionId} is cancelled`,
  /** An attempt is in progress (T-142). */
  attempt_still_active: ({ activeAttemptId }: { readonly runId: RunId; readonly activeAttemptId: AttemptId }) =>
    `finish attempt ${activeAttemptId} first`,
  /** A task cannot be cancelled before its creation; no snapshot could hold that (T-10). */
  cancel_before_create: ({
    createdAtMs,
    cancelledAtMs,
  }: {
    readonly taskId: TaskId
    readonly createdAtMs: number
    readonly cancelledAtMs: number
  }) => `cannot cancel at ${cancelledAtMs}, created at ${createdAtMs}`,
  /** The clock has been set back since the pause (T-18). */
  resume_before_pause: ({ pausedAtMs, resumedAtMs }: { readonly pausedAtMs: number; readonly resumedAtMs: number }) =>
    `cannot resume at ${resumedAtMs}, paused at ${pausedAtMs}`,
  /** The run already had an attempt with this id (T-11). */
  attempt_id_reused: ({ runId, attemptId }: { readonly runId: RunId; readonly attemptId: AttemptId }) =>
    `run ${runId} has had an attempt ${attemptId}`,
  /** The attempt counter does not wrap (T-33). */
  attempt_count_overflow: ({ runId }: { readonly runId: RunId }) => `run ${runId} cannot count another attempt`,
  /** T-133; `cycleThrough` is the prerequisite that leads back to the task. */
  dependency_cycle: ({ taskId, cycleThrough }: { readonly taskId: TaskId; readonly cycleThrough: TaskId }) =>
    `task ${taskId} cannot wait for ${cycleThrough}, which waits for it`,
  /** T-100: a cancelled task starts nothing. */
  run_of_cancelled_task: ({ runId, taskId }: { readonly runId: RunId; readonly taskId: TaskId }) =>
    `run ${runId} cannot go on: task ${taskId} is cancelled`,
  /** Release the lease first (T-143). */
  lease_still_held: ({ runId, owner }: { readonly runId: RunId; readonly owner: string }) =>
    `release the lease of ${owner} on run ${runId} first`,
  /** A run must be created without attempts (T-127). */
  run_create_requires_unstarted: ({ runId }: { readonly runId: RunId; readonly attemptCount: number }) =>
    `run ${runId} must be created without attempts`,
  /** T-146: the run is leased and the command names no token. */
  fencing_token_required: ({ runId }: { readonly runId: RunId }) => `run ${runId} is leased: name the fencing token`,
  /** T-146: another worker, or none, holds the run now. */
  fencing_token_superseded: ({
    runId,
    provided,
  }: {
    readonly runId: RunId
    readonly provided: number
    readonly current: number | undefined
  }) => `token ${provided} no longer holds run ${runId}: stop working`,
  /** T-126: the parent is unknown or finished. */
  orphan_prevention: ({ parentTaskId }: { readonly taskId: TaskId; readonly parentTaskId: TaskId }) =>
    `parent task ${parentTaskId} is unknown or finished`,
  depth_limit_exceeded: ({ depth, limit }: { readonly depth: number; readonly limit: number }) =>
    `a task at depth ${depth} exceeds the limit of ${limit}`,
  budget_already_allocated: ({ taskId, dimension }: { readonly taskId: TaskId; readonly dimension: BudgetDimension }) =>
    `task ${taskId} has a ${dimension} budget: replenish it instead`,
  budget_not_raised: ({
    limit,
    newLimit,
  }: {
    readonly taskId: TaskId
    readonly dimension: BudgetDimension
    readonly limit: number
    readonly newLimit: number
  }) => `a replenishment raises the limit ${limit}, it does not set ${newLimit}`,
  /** The reservation would exceed the budget of `taskId`. */
  budget_exceeded: ({
    taskId,
    dimension,
    limit,
    consumed,
    reserved,
    amount,
  }: {
    readonly taskId: TaskId
    readonly dimension: BudgetDimension
    readonly limit: number
    readonly consumed: number
    readonly reserved: number
    readonly amount: number
  }) =>
    `${amount} of ${dimension} exceed the budget of task ${taskId}: limit ${limit}, spent ${consumed}, reserved ${reserved}`,
  budget_overflow: ({ taskId, dimension }: { readonly taskId: TaskId; readonly dimension: BudgetDimension }) =>
    `the ${dimension} budget of task ${taskId} cannot count any further`,
  reservation_already_exists: ({ reservationId }: { readonly reservationId: ReservationId }) =>
    `reservation ${reservationId} is open already`,
  unknown_reservation: ({ reservationId }: { readonly reservationId: ReservationId }) =>
    `no open reservation ${reservationId}`,
  /** The attempt has ended, or was never begun. */
  no_active_attempt: ({ runId }: OfRun) => `run ${runId} has no attempt under way`,
  step_already_recorded: ({ runId, key }: OfDurable) => `run ${runId} has done ${key} already`,
  wait_already_begun: ({ runId, key }: OfDurable) => `run ${runId} waits for ${key} already`,
  unknown_wait: ({ runId, key }: OfDurable) => `run ${runId} does not wait for ${key}`,
  wait_already_ended: ({ runId, key }: OfDurable) => `what run ${runId} waits for has already arrived: ${key}`,
  /** A wait for a time or for the end of a task ends in no other way. */
  wait_ends_otherwise: ({ runId, key }: OfDurable) => `this does not end the wait of run ${runId} for ${key}`,
  /** The attempt is already waiting, or already working. */
  waiting_unchanged: ({ runId }: OfRun) => `run ${runId} is in that state already`,
  question_already_answered: ({ taskId, name }: { readonly taskId: TaskId; readonly name: string }) =>
    `question ${name} of task ${taskId} is answered already`,
  /** The task has ended: it will never ask. */
  answer_too_late: ({ taskId, name }: { readonly taskId: TaskId; readonly name: string }) =>
    `task ${taskId} has ended and asks no ${name}`,
  subscription_already_triggered: ({ subscriptionId }: { readonly subscriptionId: SubscriptionId }) =>
    `one-shot subscription ${subscriptionId} was triggered already`,
  subscription_not_triggered: ({ subscriptionId }: { readonly subscriptionId: SubscriptionId }) =>
    `subscription ${subscriptionId} has no trigger to consume`,
  unknown_actor: ({ actorId }: { readonly actorId: ActorId }) => `no actor ${actorId}`,
  unknown_tenant: ({ tenantId }: { readonly tenantId: TenantId }) => `no tenant ${tenantId}`,
  ledger_entry_already_exists: ({ entryId }: { readonly entryId: LedgerEntryId }) =>
    `ledger entry ${entryId} exists already`,
}

/** Raised by submitting and handling tasks. */
export const dispatchMessages = {
  /** A run of the policy would be due beyond the last countable millisecond; none is created. */
  arithmetic_overflow: ({ policy, operation }: { readonly policy: 'repeat'; readonly operation: string }) =>
    `the runs of a ${policy} policy cannot be counted: ${operation}`,
  invalid_amount: ({ dimension, amount }: { readonly dimension: BudgetDimension; readonly amount: number }) =>
    `an amount of ${dimension} is a whole number from 0, not ${textOf(amount)}`,
  /** The task is of another kind than the one a handle was requested for. */
  kind_mismatch: ({
    taskId,
    expected,
    found,
  }: {
    readonly taskId: TaskId
    readonly expected: string
    readonly found: string
  }) => `task ${taskId} is of kind ${found}, not ${expected}`,
  handler_exists: ({ kind }: { readonly kind: string }) => `kind ${kind} has a handler already: dispose it first`,
  /** A task of a graph names one that is not in the graph. */
  unknown_task_name: ({ name, usedBy }: { readonly name: string; readonly usedBy: string }) =>
    `${usedBy} refers to ${name}, which is not in the graph`,
  /** Tasks of a graph are each other's parents. */
  parent_cycle: ({ name }: { readonly name: string }) => `${name} is its own ancestor`,
  no_role_assigned: ({ actorId, tenantId }: { readonly actorId: ActorId; readonly tenantId: TenantId }) =>
    `actor ${actorId} has no role in tenant ${tenantId}`,
  missing_capability: ({
    actorId,
    tenantId,
    capability,
  }: {
    readonly actorId: ActorId
    readonly tenantId: TenantId
    readonly capability: Capability
  }) =>
    `actor ${actorId} lacks ${capability.type === 'custom' ? capability.name : capability.type} in tenant ${tenantId}`,
}

/** Why a stored lease event cannot be applied (T-156). */
export type LeaseCausality =
  | 'unknown_run'
  | 'invalid_run_state'
  | 'lease_already_active'
  | 'missing_active_lease'
  | 'owner_mismatch'
  | 'expiry_mismatch'
  | 'non_monotonic_heartbeat_expiry'

interface At {
  /** Sequence of the refused event. */
  readonly sequence: number
}

/** Refusals of a stored event (T-156); nothing was changed. */
export const replayMessages = {
  replay_invalid_transition: ({ sequence, runId, reason }: At & { readonly runId: RunId; readonly reason: string }) =>
    `event ${sequence} is illegal for run ${runId}: ${reason}`,
  replay_duplicate_event: ({ sequence, id }: At & { readonly id: string }) => `event ${sequence} repeats ${id}`,
  replay_corrupted_data: ({ sequence, reason }: At & { readonly reason: string }) =>
    `event ${sequence} contradicts the log before it: ${reason}`,
  replay_lease_causality: ({
    sequence,
    event,
    runId,
    cause,
  }: At & { readonly runId: RunId; readonly event: LeaseAction; readonly cause: LeaseCausality }) =>
    `event ${sequence} cannot ${event} a lease on run ${runId}: ${cause}`,
  replay_task_unknown: ({ sequence, taskId }: At & { readonly taskId: TaskId }) =>
    `event ${sequence} names an unknown task ${taskId}`,
  replay_task_already_cancelled: ({
    sequence,
    taskId,
  }: At & {
    readonly taskId: TaskId
    readonly firstCancelledAtMs: number
    readonly duplicateCancelledAtMs: number
  }) => `event ${sequence} cancels task ${taskId} again`,
  replay_already_paused: ({
    sequence,
  }: At & { readonly firstPausedAtMs: number | undefined; readonly duplicatePausedAtMs: number }) =>
    `event ${sequence} pauses a paused engine`,
  replay_not_paused: ({ sequence }: At & { readonly attemptedResumedAtMs: number }) =>
    `event ${sequence} resumes a running engine`,
  replay_resume_before_pause: ({ sequence }: At & { readonly pausedAtMs: number; readonly resumedAtMs: number }) =>
    `event ${sequence} resumes the engine before it was paused`,
}

/** Violations in the rows of a snapshot (T-69). */
export const snapshotMessages = {
  snapshot_duplicate_task: ({ taskId }: { readonly taskId: TaskId }) => `snapshot holds task ${taskId} twice`,
  snapshot_key_in_use: ({ taskId, key }: { readonly taskId: TaskId; readonly key: string }) =>
    `task ${taskId} has the key ${key} of another`,
  snapshot_cancelled_before_created: ({ taskId }: { readonly taskId: TaskId }) =>
    `task ${taskId} is cancelled before it was created`,
  snapshot_unknown_parent: ({ taskId }: { readonly taskId: TaskId }) => `task ${taskId} comes before its parent`,
  snapshot_nil_id: (_: { readonly id: string }) => 'snapshot holds a nil id',
  snapshot_duplicate_run: ({ runId }: OfRun) => `snapshot holds run ${runId} twice`,
  snapshot_unknown_task: ({ row, taskId }: { readonly taskId: TaskId; readonly row: string }) =>
    `snapshot ${row} names an unknown task ${taskId}`,
  snapshot_unknown_run: ({ row, runId }: OfRun & { readonly row: string }) =>
    `snapshot ${row} names an unknown run ${runId}`,
  snapshot_attempt_outside_running: ({ runId }: OfRun) => `run ${runId} has an active attempt and is not running`,
  snapshot_attempt_without_count: ({ runId }: OfRun) => `run ${runId} has an active attempt and counts none`,
  snapshot_attempt_count: ({ runId, expected, found }: OfRun & { readonly expected: number; readonly found: number }) =>
    `run ${runId} counts ${expected} attempts and holds ${found}`,
  snapshot_active_attempt: ({ runId }: OfRun) => `run ${runId} does not hold its active attempt once and unfinished`,
  snapshot_history_start: ({ runId }: OfRun) => `history of run ${runId} does not start with its creation`,
  snapshot_history_chain: ({ runId, index }: OfRun & { readonly index: number }) =>
    `history of run ${runId} breaks at entry ${index}`,
  snapshot_history_end: ({ runId }: OfRun) => `history of run ${runId} does not end in its state`,
  snapshot_lease_state: ({ runId }: OfRun) => `run ${runId} holds a lease in a state that cannot`,
  snapshot_engine: ({ reason }: { readonly reason: string }) => `engine flags disagree: ${reason}`,
  snapshot_duplicate_dependency: ({ taskId }: { readonly taskId: TaskId }) =>
    `snapshot declares the dependencies of ${taskId} twice`,
  snapshot_duplicate_budget: ({ taskId, dimension }: { readonly taskId: TaskId; readonly dimension: string }) =>
    `snapshot holds the ${dimension} budget of ${taskId} twice`,
  snapshot_budget: ({
    taskId,
    dimension,
    reason,
  }: {
    readonly taskId: TaskId
    readonly dimension: string
    readonly reason: string
  }) => `the ${dimension} budget of ${taskId} does not balance: ${reason}`,
  snapshot_duplicate_subscription: ({ subscriptionId }: { readonly subscriptionId: string }) =>
    `snapshot holds subscription ${subscriptionId} twice`,
  /** A row of one of the other tables appears twice. */
  snapshot_duplicate_row: ({ row, id }: { readonly row: string; readonly id: string }) =>
    `snapshot holds ${row} ${id} twice`,
}

const messages = {
  ...constructionMessages,
  ...refusalMessages,
  ...dispatchMessages,
  ...replayMessages,
  ...snapshotMessages,
}

/**
 * Data of every error of the tasks room, by code. Its events, rows and batches can also raise the errors of a state
 * stream.
 */
export type TaskErrorData = ErrorDataOf<typeof messages>

/** Stable code of a {@link TaskError} (T-120). */
export type TaskErrorCode = keyof TaskErrorData

/** Raised by the tasks room. The message is derived from `data`. */
export const TaskError = defineErrors('TaskError', messages)
export type TaskError<Code extends TaskErrorCode = TaskErrorCode> = StatewardError<Code, TaskErrorData[Code]>

/** Data of every refusal, by code: those of the tasks room, and those of command numbering. */
export type RefusalData = ErrorDataOf<typeof refusalMessages> &
  Pick<StateErrorData, 'non_monotonic_sequence' | 'sequence_overflow'>

/** Code of a refusal. */
export type RefusalCode = keyof RefusalData

/** Every {@link RefusalCode}. */
export const refusalCodes = [
  'sequence_overflow',
  'non_monotonic_sequence',
  ...(Object.keys(refusalMessages) as (keyof typeof refusalMessages)[]),
] as const satisfies readonly RefusalCode[]

const refusals: ReadonlySet<string> = new Set(refusalCodes)

/** True for a refusal, which has left the log and the projection unchanged. */
export function isRefusal(
  error: unknown,
): error is { [Code in RefusalCode]: StatewardError<Code, RefusalData[Code]> }[RefusalCode] {
  return StatewardError.is(error) && refusals.has(error.code)
}
