import type { TaskSpec } from '../../tasks/public.js'
import type { PlainCommand } from './port.js'
import type { OracleRun } from './rows.js'
import type { OracleState } from './state.js'
import { isEdge, isFinal } from './tables.js'

/** The code with which a command is refused, if it is; the first rule that applies. */
export function refusalOf(state: OracleState, command: PlainCommand): string | undefined {
  switch (command.type) {
    case 'task_create': {
      const { id, parentTaskId } = command.taskSpec
      if (state.tasks.has(id) || state.tombstones.has(id)) return 'task_already_exists'
      const orphan = parentTaskId === undefined ? undefined : refusalOfChild(state, parentTaskId)
      if (orphan !== undefined) return orphan
      const firstRuns = command.runs?.map((run) => run.id) ?? []
      const isTaken = firstRuns.some((run) => state.runs.has(run)) || new Set(firstRuns).size < firstRuns.length
      return isTaken ? 'run_already_exists' : refusalOfNames(state, command.taskSpec)
    }
    case 'run_create': {
      const { id, taskId } = command.runInstance
      if (!state.tasks.has(taskId)) return absence(state, taskId)
      if (state.runs.has(id)) return 'run_already_exists'
      return state.tasks.get(taskId)?.isCancelled === true ? 'task_already_cancelled' : undefined
    }
    case 'run_state_transition': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'unknown_run'
      if (run.state !== command.previousState) return 'previous_state_mismatch'
      const to = command.newState
      if (!isEdge(run.state, to)) return 'invalid_transition'
      if (['ready', 'leased', 'running'].includes(to) && state.isCancelled(run)) return 'run_of_cancelled_task'
      return fence(run, command.fencingToken, to !== 'cancelled') ?? leaving(run, to)
    }
    case 'attempt_start': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'attempt_start_unknown_run'
      if (run.state !== 'running') return 'attempt_start_requires_running'
      if (run.attempt !== undefined) return 'attempt_start_already_active'
      if (state.isCancelled(run)) return 'run_of_cancelled_task'
      const refusal = fence(run, command.fencingToken, true)
      return refusal ?? (run.attempts.includes(command.attemptId) ? 'attempt_id_reused' : undefined)
    }
    case 'attempt_finish': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'attempt_finish_unknown_run'
      if (run.state !== 'running') return 'attempt_finish_requires_running'
      if (run.attempt === undefined) return 'attempt_finish_missing_active'
      if (run.attempt !== command.attemptId) return 'attempt_finish_attempt_mismatch'
      return fence(run, command.fencingToken, true)
    }
    case 'attempt_wait':
    case 'attempt_go_on': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'unknown_run'
      const isUnchanged = run.isWaiting === (command.type === 'attempt_wait')
      return unworked(run, command.fencingToken) ?? (isUnchanged ? 'waiting_unchanged' : undefined)
    }
    case 'step_record': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'unknown_run'
      const refusal = unworked(run, command.fencingToken)
      if (refusal !== undefined) return refusal
      if (run.steps.has(command.key)) return 'step_already_recorded'
      const isCounted = ({ dimension }: { dimension: string }): boolean =>
        state.budgetsFor(run.task, dimension).length > 0
      return (command.consumptions ?? []).every(isCounted) ? undefined : 'budget_not_allocated'
    }
    case 'wait_begin': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'unknown_run'
      return unworked(run, command.fencingToken) ?? (run.waits.has(command.key) ? 'wait_already_begun' : undefined)
    }
    case 'wait_end': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'unknown_run'
      const wait = run.waits.get(command.key)
      if (wait === undefined) return 'unknown_wait'
      if (wait.end !== undefined || isFinal(run.state)) return 'wait_already_ended'
      const fits = command.isTimedOut === true ? wait.isLimited : wait.type === 'time'
      return fits ? undefined : 'wait_ends_otherwise'
    }
    case 'question_answer': {
      const { taskId, name } = command
      if (!state.tasks.has(taskId)) return absence(state, taskId)
      if (state.askedOf(taskId, name) !== undefined) return undefined
      if (state.early.has(`${taskId} ${name}`) || state.isAnswered(taskId, name)) return 'question_already_answered'
      return state.hasEnded(taskId) ? 'answer_too_late' : undefined
    }
    case 'task_cancel':
      if (!state.tasks.has(command.taskId)) return absence(state, command.taskId)
      if (state.tasks.get(command.taskId)?.isCancelled === true) return 'task_already_cancelled'
      return command.atMs < (state.tasks.get(command.taskId)?.createdAtMs ?? 0) ? 'cancel_before_create' : undefined
    case 'tasks_forget': {
      const left = state.copy()
      for (const id of command.taskIds) {
        if (!left.tasks.has(id)) return state.tasks.has(id) ? 'unknown_task' : absence(state, id)
        if (!state.hasEnded(id)) return 'task_not_ended'
        if (left.isUsed(id)) return 'task_in_use'
        left.tasks.delete(id)
        left.prerequisites.delete(id)
        left.followed.delete(id)
      }
      return undefined
    }
    case 'runs_forget': {
      if (!state.tasks.has(command.taskId)) return absence(state, command.taskId)
      const gone = new Set<string>()
      for (const id of command.runIds) {
        const run = state.runs.get(id)
        if (gone.has(id) || run?.task !== command.taskId) return 'unknown_run'
        if (!isFinal(run.state)) return 'run_not_ended'
        if ([...state.reservations.values()].some((reservation) => reservation.run === id)) return 'task_in_use'
        gone.add(id)
      }
      return undefined
    }
    case 'tombstones_expire':
      return command.taskIds.every((id) => state.tombstones.has(id)) ? undefined : 'unknown_task'
    case 'schedule_change': {
      const { taskId, runPolicy, dropped, runs } = command
      const task = state.tasks.get(taskId)
      if (task === undefined) return absence(state, taskId)
      if (!task.isRepeating || runPolicy?.type === 'once') return 'task_not_repeating'
      if (task.isCancelled) return 'task_already_cancelled'
      const had = state.runsOf(taskId)
      if (state.hasEnded(taskId)) return 'task_already_ended'
      for (const id of dropped) {
        const run = state.runs.get(id)
        if (run?.task !== taskId) return 'unknown_run'
        if (run.state !== 'scheduled') return 'previous_state_mismatch'
      }
      if (runs.some(({ id }) => state.runs.has(id))) return 'run_already_exists'
      const left = had.length + task.forgotten.length - dropped.length + runs.length
      return left === 0 ? 'schedule_without_runs' : undefined
    }
    case 'dependency_declare': {
      const { taskId, dependsOn, after = [] } = command
      const added = [...dependsOn, ...after]
      if (added.length === 0) return 'empty_dependency_list'
      const absent = [taskId, ...added].find((id) => !state.tasks.has(id))
      if (absent !== undefined) return absence(state, absent)
      const needed = new Set([...(state.prerequisites.get(taskId) ?? []), ...dependsOn])
      const followed = [...(state.followed.get(taskId) ?? []), ...after]
      if (followed.some((id) => needed.has(id))) return 'conflicting_dependency'
      return added.some((id) => state.needs(id, taskId)) ? 'dependency_cycle' : undefined
    }
    case 'run_suspend': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'unknown_run'
      if (run.state !== 'running') return 'run_suspend_requires_running'
      return fence(run, command.fencingToken, true) ?? leaving(run, 'suspended')
    }
    case 'run_resume': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'unknown_run'
      if (run.state !== 'suspended') return 'run_resume_requires_suspended'
      return state.isCancelled(run) ? 'run_of_cancelled_task' : undefined
    }
    case 'lease_acquire': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'lease_unknown_run'
      if (run.state !== 'ready' && run.state !== 'leased') return 'lease_invalid_run_state'
      if (run.lease !== undefined) return 'lease_already_active'
      return state.isCancelled(run) ? 'run_of_cancelled_task' : undefined
    }
    case 'lease_heartbeat':
    case 'lease_expire':
    case 'lease_release': {
      const run = state.runs.get(command.runId)
      if (run === undefined) return 'lease_unknown_run'
      const isHeartbeat = command.type === 'lease_heartbeat'
      const states = isHeartbeat ? ['leased', 'running'] : ['ready', 'leased', 'running']
      if (!states.includes(run.state)) return 'lease_invalid_run_state'
      if (run.lease === undefined) return 'lease_missing_active'
      if (run.lease.owner !== command.owner) return 'lease_owner_mismatch'
      if (isHeartbeat && command.expiresAtMs < run.lease.expiresAtMs) return 'lease_heartbeat_expiry_regression'
      if (!isHeartbeat && command.expiresAtMs !== run.lease.expiresAtMs) return 'lease_expiry_mismatch'
      return command.type === 'lease_expire' ? undefined : fence(run, command.fencingToken, false)
    }
    case 'engine_pause':
      return state.paused === undefined ? undefined : 'engine_already_paused'
    case 'engine_resume':
      if (state.paused === undefined) return 'engine_not_paused'
      return command.atMs < state.paused.at ? 'resume_before_pause' : undefined
    case 'budget_allocate':
      if (!state.tasks.has(command.taskId)) return absence(state, command.taskId)
      return state.budgets.get(command.taskId)?.has(command.dimension) === true ? 'budget_already_allocated' : undefined
    case 'budget_consume':
      if (!state.tasks.has(command.taskId)) return absence(state, command.taskId)
      return state.budgetsFor(command.taskId, command.dimension).length === 0 ? 'budget_not_allocated' : undefined
    case 'budget_replenish': {
      if (!state.tasks.has(command.taskId)) return absence(state, command.taskId)
      const budget = state.budgets.get(command.taskId)?.get(command.dimension)
      if (budget === undefined) return 'budget_not_allocated'
      return command.newLimit > budget.limit ? undefined : 'budget_not_raised'
    }
    case 'budget_reserve': {
      if (!state.tasks.has(command.taskId)) return absence(state, command.taskId)
      if (command.runId !== undefined && !state.runs.has(command.runId)) return 'unknown_run'
      if (state.reservations.has(command.reservationId)) return 'reservation_already_exists'
      const budgets = state.budgetsFor(command.taskId, command.dimension)
      if (budgets.length === 0) return 'budget_not_allocated'
      const fits = budgets.every(({ limit, consumed, reserved }) => limit - consumed - reserved >= command.amount)
      return fits ? undefined : 'budget_exceeded'
    }
    case 'budget_settle':
    case 'budget_release':
      return state.reservations.has(command.reservationId) ? undefined : 'unknown_reservation'
    case 'subscription_create':
      if (!state.tasks.has(command.taskId)) return absence(state, command.taskId)
      return state.subscriptions.has(command.subscriptionId) ? 'subscription_already_exists' : undefined
    case 'subscription_cancel':
    case 'subscription_trigger':
    case 'subscription_consume': {
      const subscription = state.subscriptions.get(command.subscriptionId)
      if (subscription === undefined) return 'unknown_subscription'
      if (subscription.isCancelled) return 'subscription_already_cancelled'
      if (command.type === 'subscription_trigger' && subscription.isTriggered && !subscription.rearm) {
        return 'subscription_already_triggered'
      }
      if (command.type !== 'subscription_consume') return undefined
      if (subscription.pending === 0) return 'subscription_not_triggered'
      return command.runId === undefined || state.runs.has(command.runId) ? undefined : 'unknown_run'
    }
    case 'actor_deregister':
    case 'actor_heartbeat':
      return state.actors.has(command.actorId) ? undefined : 'unknown_actor'
    case 'role_assign':
    case 'capability_grant':
    case 'capability_revoke':
      if (!state.actors.has(command.actorId)) return 'unknown_actor'
      return state.tenants.has(command.tenantId) ? undefined : 'unknown_tenant'
    case 'ledger_append':
      if (!state.tenants.has(command.entry.tenantId)) return 'unknown_tenant'
      return state.entries.includes(command.entry.entryId) ? 'ledger_entry_already_exists' : undefined
    case 'actor_register':
    case 'tenant_create':
      return undefined
  }
}

/** Checks a fencing token: it must be that of the lease, and is required while a lease is held. */
function fence({ lease }: OracleRun, token: number | undefined, isRequired: boolean): string | undefined {
  if (token !== undefined) return token === lease?.token ? undefined : 'fencing_token_superseded'
  return isRequired && lease !== undefined ? 'fencing_token_required' : undefined
}

/** Why a worker cannot act on a run: the run has no attempt, or the worker's token is missing or superseded. */
function unworked(run: OracleRun, token: number | undefined): string | undefined {
  return run.attempt === undefined ? 'no_active_attempt' : fence(run, token, true)
}

/** Why a run cannot leave its state. */
function leaving(run: OracleRun, to: string): string | undefined {
  if (run.state === 'running' && to !== 'cancelled' && run.attempt !== undefined) return 'attempt_still_active'
  const keepsLease = to === 'retry_wait' || to === 'suspended' || (run.state === 'leased' && to === 'ready')
  return keepsLease && run.lease !== undefined ? 'lease_still_held' : undefined
}

/**
 * Checks the key and `retryOf` of a new task. A retry must be of a failed task that was not retried yet, and may take
 * over its key; any other key must be free.
 */
function refusalOfNames(state: OracleState, { key, retryOf }: TaskSpec): string | undefined {
  if (retryOf !== undefined) {
    if (!state.tasks.has(retryOf)) return absence(state, retryOf)
    if (state.phase(retryOf) !== 'failed') return 'retry_requires_failed'
    if (state.retries.has(retryOf)) return 'already_retried'
  }
  const holder = key === undefined ? undefined : state.keys.get(key)
  return holder === undefined || holder === retryOf ? undefined : 'key_in_use'
}

function refusalOfChild(state: OracleState, parentTaskId: string): string | undefined {
  const parent = state.tasks.get(parentTaskId)
  if (parent === undefined || parent.isCancelled || state.hasEnded(parentTaskId)) return 'orphan_prevention'
  return parent.depth >= 8 ? 'depth_limit_exceeded' : undefined
}

/** The code for a task that does not exist. */
function absence(state: OracleState, taskId: string): string {
  return state.tombstones.has(taskId) ? 'no_longer_retained' : 'unknown_task'
}
