import type { CommandOf, CommandType } from '../commands.js'
import { TaskError } from '../errors.js'
import type { TaskView } from '../view.js'
import * as attempts from './attempts.js'
import * as budgets from './budgets.js'
import type { Decision } from './decision.js'
import * as engine from './engine.js'
import * as leases from './leases.js'
import * as platform from './platform.js'
import * as runs from './runs.js'
import * as subscriptions from './subscriptions.js'
import * as tasks from './tasks.js'

type Decide<Type extends CommandType> = (view: TaskView, command: CommandOf<Type>, sequence: number) => Decision<Type>

/** What each command checks, in the order of spec mutation authority 3, and the fact it becomes. */
const decisions: { readonly [Type in CommandType]: Decide<Type> } = {
  task_create: tasks.taskCreate,
  run_create: runs.runCreate,
  run_state_transition: runs.runStateTransition,
  attempt_start: attempts.attemptStart,
  attempt_finish: attempts.attemptFinish,
  task_cancel: tasks.taskCancel,
  dependency_declare: tasks.dependencyDeclare,
  run_suspend: runs.runSuspend,
  run_resume: runs.runResume,
  lease_acquire: leases.leaseAcquire,
  lease_heartbeat: leases.leaseHeartbeat,
  lease_expire: leases.leaseExpire,
  lease_release: leases.leaseRelease,
  engine_pause: engine.enginePause,
  engine_resume: engine.engineResume,
  budget_allocate: budgets.budgetAllocate,
  budget_consume: budgets.budgetConsume,
  budget_replenish: budgets.budgetReplenish,
  subscription_create: subscriptions.subscriptionCreate,
  subscription_cancel: subscriptions.subscriptionCancel,
  subscription_trigger: subscriptions.subscriptionTrigger,
  actor_register: platform.actorRegister,
  actor_deregister: platform.actorDeregister,
  actor_heartbeat: platform.actorHeartbeat,
  tenant_create: platform.tenantCreate,
  role_assign: platform.roleAssign,
  capability_grant: platform.capabilityGrant,
  capability_revoke: platform.capabilityRevoke,
  ledger_append: platform.ledgerAppend,
  budget_reserve: budgets.budgetReserve,
  budget_settle: budgets.budgetSettle,
  budget_release: budgets.budgetRelease,
  subscription_consume: subscriptions.subscriptionConsume,
}

/** Every command name, in the order of spec mutation authority 3, the added ones last. */
export const commandTypes = Object.keys(decisions) as readonly CommandType[]

/**
 * The sequence the next command gets. Raises `sequence_overflow`, or `non_monotonic_sequence` when the caller expects
 * another one: the first check of every command.
 */
export function nextSequence(view: TaskView, expected?: number): number {
  const sequence = view.latestSequence + 1
  if (!Number.isSafeInteger(sequence)) throw new TaskError('sequence_overflow', {})
  if (expected !== undefined && expected !== sequence) {
    throw new TaskError('non_monotonic_sequence', { expected: sequence, provided: expected })
  }
  return sequence
}

/** Decides a command: its fact, or its refusal raised. Changes nothing. */
export function decide<Type extends CommandType>(
  view: TaskView,
  command: CommandOf<Type>,
  sequence: number,
): Decision<Type> {
  return (decisions[command.type] as Decide<Type>)(view, command, sequence)
}
