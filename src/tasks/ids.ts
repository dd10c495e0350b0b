import { parseUuid, type Brand } from '../base/ids.js'

export type { AttemptId } from '../../machines/run-vocabulary.js'

/** Identifies a task; a UUID, never nil. */
export type TaskId = Brand<string, 'TaskId'>

/** Identifies one run of a task; a UUID, never nil. Text order breaks ties in selection (T-102, T-76). */
export type RunId = Brand<string, 'TaskRunId'>

/** Identifies a remote actor; a UUID. */
export type ActorId = Brand<string, 'ActorId'>

/** Identifies a tenant; a UUID. */
export type TenantId = Brand<string, 'TenantId'>

/** Identifies an entry of the tenants' ledger; a UUID. */
export type LedgerEntryId = Brand<string, 'LedgerEntryId'>

/** Identifies a subscription; a UUID. */
export type SubscriptionId = Brand<string, 'SubscriptionId'>

/** Identifies an open budget reservation; a UUID. */
export type ReservationId = Brand<string, 'ReservationId'>

/** Human label of a group of actors. */
export type DepartmentId = Brand<string, 'DepartmentId'>

/**
 * What a budget counts: `token`, `time:ms`, `cost:usd` and the like, or a name of the service's own.
 * Money is counted in integer micro-units of the currency the name states (T-112).
 */
export type BudgetDimension = Brand<string, 'BudgetDimension'>

/** Any parseable UUID in its canonical spelling; raises `invalid_input` naming `what` otherwise. */
export function parseId<Id extends string>(text: string, what = 'id'): Id {
  return parseUuid<Id>(text, what)
}
