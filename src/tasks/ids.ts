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

/** Identifies an entry of a tenant's ledger; a UUID. */
export type LedgerEntryId = Brand<string, 'LedgerEntryId'>

/** Identifies a subscription; a UUID. */
export type SubscriptionId = Brand<string, 'SubscriptionId'>

/** Identifies an open budget reservation; a UUID. */
export type ReservationId = Brand<string, 'ReservationId'>

/** Label of a group of actors, for people. */
export type DepartmentId = Brand<string, 'DepartmentId'>

/**
 * What a budget counts: `token`, `time:ms`, `cost:usd` and the like, or a name that the service chooses. Money is
 * counted in integer micro-units of the currency in the name (T-112).
 */
export type BudgetDimension = Brand<string, 'BudgetDimension'>

/** Accepts any parseable UUID and returns its canonical spelling. Otherwise raises `invalid_input` naming `what`. */
export function parseId<Id extends string>(text: string, what = 'id'): Id {
  return parseUuid<Id>(text, what)
}
