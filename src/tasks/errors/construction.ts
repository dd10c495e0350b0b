import type { AttemptResult } from '../attempt.js'
import type { BudgetDimension } from '../budget.js'
import type { RunId, TaskId } from '../ids.js'

type Nothing = Record<string, never>

/** Data of every error that building a value can raise, by code (spec mutation authority 1.2 to 1.13). */
export interface ConstructionErrorData {
  invalid_task_id: { readonly taskId: TaskId }
  invalid_run_id: { readonly runId: RunId }
  empty_kind: Nothing
  invalid_repeat_count: { readonly count: number }
  invalid_repeat_interval_ms: { readonly intervalMs: number }
  cron_policy_error: { readonly message: string }
  invalid_max_attempts: { readonly maxAttempts: number }
  zero_timeout: Nothing
  empty_concurrency_key: Nothing
  empty_capabilities: Nothing
  empty_capability_entry: Nothing
  success_with_error: { readonly result: AttemptResult; readonly error: string | undefined }
  non_success_without_error: { readonly result: AttemptResult }
  non_success_with_output: { readonly result: AttemptResult }
  failure_without_class: Nothing
  class_without_failure: { readonly result: AttemptResult }
  empty_lease_owner: Nothing
  /** `reason` where more can be said than that it is no dimension. */
  invalid_budget_dimension: { readonly name: string; readonly reason?: string }
  zero_limit: { readonly dimension: BudgetDimension }
  zero_amount: { readonly dimension: BudgetDimension }
  invalid_threshold_percent: { readonly thresholdPercent: number }
  empty_custom_key: Nothing
  empty_identity: Nothing
  zero_heartbeat_interval: Nothing
  zero_timeout_multiplier: Nothing
  /** `length` counts UTF-8 bytes. */
  department_id_too_long: { readonly length: number }
  department_id_empty: Nothing
  empty_tenant_name: Nothing
  empty_role_name: Nothing
  empty_capability_name: Nothing
  empty_ledger_key: Nothing
}

/** One line for people per code. */
export const constructionMessages: {
  readonly [Code in keyof ConstructionErrorData]: (data: ConstructionErrorData[Code]) => string
} = {
  invalid_task_id: () => 'a task id must not be the nil UUID',
  invalid_run_id: () => 'a run id must not be the nil UUID',
  empty_kind: () => 'kind must name a handler',
  invalid_repeat_count: () => 'a repeat policy needs a count of at least 1',
  invalid_repeat_interval_ms: () => 'a repeat policy needs an interval of at least 1 millisecond',
  cron_policy_error: ({ message }) => `cron policy refused: ${message}`,
  invalid_max_attempts: () => 'maxAttempts must be at least 1',
  zero_timeout: () => 'timeoutMs must be at least 1, or absent for none',
  empty_concurrency_key: () => 'concurrencyKey must not be empty; leave it out for none',
  empty_capabilities: () => 'a list of capabilities must not be empty',
  empty_capability_entry: () => 'a capability must not be empty text',
  success_with_error: ({ result }) => `a ${result} outcome carries no error`,
  non_success_without_error: ({ result }) => `a ${result} outcome needs an error text`,
  non_success_with_output: ({ result }) => `a ${result} outcome carries no output`,
  failure_without_class: () => 'a failure says whether it is retryable or terminal',
  class_without_failure: ({ result }) => `a ${result} outcome has no failure class, reason or cause`,
  empty_lease_owner: () => 'a lease owner must not be empty',
  invalid_budget_dimension: ({ name, reason }) =>
    `not a budget dimension: ${name}${reason === undefined ? '' : ` (${reason})`}`,
  zero_limit: ({ dimension }) => `a ${dimension} budget needs a limit above 0`,
  zero_amount: ({ dimension }) => `an amount of ${dimension} must be above 0`,
  invalid_threshold_percent: ({ thresholdPercent }) => `a threshold is 0 to 100 percent, not ${thresholdPercent}`,
  empty_custom_key: () => 'a custom event key must not be empty',
  empty_identity: () => 'an actor identity must not be empty',
  zero_heartbeat_interval: () => 'a heartbeat interval is at least 1 millisecond',
  zero_timeout_multiplier: () => 'a heartbeat timeout multiplier is at least 1',
  department_id_too_long: ({ length }) => `a department label has at most 128 UTF-8 bytes, not ${length}`,
  department_id_empty: () => 'a department label must not be empty',
  empty_tenant_name: () => 'a tenant name must not be empty',
  empty_role_name: () => 'a custom role needs a name',
  empty_capability_name: () => 'a custom capability needs a name',
  empty_ledger_key: () => 'a ledger key must not be empty',
}
