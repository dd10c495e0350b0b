import { describeValue } from '../../base/errors.js'
import type { BudgetDimension } from '../budget.js'
import type { ActorId, TenantId } from '../ids.js'
import type { Capability } from '../platform.js'

/** Data of the errors of submitting and handling tasks, by code. */
export interface DispatchErrorData {
  /** The runs of a policy reach beyond the last countable millisecond; none is derived. */
  arithmetic_overflow: { readonly policy: 'repeat'; readonly operation: string }
  invalid_amount: { readonly dimension: BudgetDimension; readonly amount: number }
  handler_exists: { readonly kind: string }
  /** A graph names a task that is not in it. */
  unknown_task_name: { readonly name: string; readonly usedBy: string }
  /** Tasks of a graph are each other's parents. */
  parent_cycle: { readonly name: string }
  no_role_assigned: { readonly actorId: ActorId; readonly tenantId: TenantId }
  missing_capability: { readonly actorId: ActorId; readonly tenantId: TenantId; readonly capability: Capability }
}

/** One line for people per code. */
export const dispatchMessages: {
  readonly [Code in keyof DispatchErrorData]: (data: DispatchErrorData[Code]) => string
} = {
  arithmetic_overflow: ({ policy, operation }) => `the runs of a ${policy} policy cannot be counted: ${operation}`,
  invalid_amount: ({ dimension, amount }) =>
    `an amount of ${dimension} is a whole number from 0, not ${describeValue(amount)}`,
  handler_exists: ({ kind }) => `kind ${kind} has a handler already: dispose it first`,
  unknown_task_name: ({ name, usedBy }) => `${usedBy} refers to ${name}, which is not in the graph`,
  parent_cycle: ({ name }) => `${name} is its own ancestor`,
  no_role_assigned: ({ actorId, tenantId }) => `actor ${actorId} has no role in tenant ${tenantId}`,
  missing_capability: ({ actorId, tenantId, capability }) =>
    `actor ${actorId} lacks ${capability.type === 'custom' ? capability.name : capability.type} in tenant ${tenantId}`,
}
