import type {
  ActorId,
  AttemptId,
  LedgerEntryId,
  ReservationId,
  RunId,
  SubscriptionId,
  TaskId,
  TenantId,
} from '../../tasks/public.js'

/** A readable UUID: the kind of thing in the first group, its number in the last. */
function uuid<Id extends string>(kind: number, number: number): Id {
  return `${kind.toString(16).padStart(8, '0')}-0000-4000-8000-${number.toString(16).padStart(12, '0')}` as Id
}

/** The task of this number. */
export const taskId = (number: number): TaskId => uuid(1, number)
/** The run of this number. */
export const runId = (number: number): RunId => uuid(2, number)
/** The attempt of this number. */
export const attemptId = (number: number): AttemptId => uuid(3, number)
/** The actor of this number. */
export const actorId = (number: number): ActorId => uuid(4, number)
/** The tenant of this number. */
export const tenantId = (number: number): TenantId => uuid(5, number)
/** The ledger entry of this number. */
export const entryId = (number: number): LedgerEntryId => uuid(6, number)
/** The subscription of this number. */
export const subscriptionId = (number: number): SubscriptionId => uuid(7, number)
/** The reservation of this number. */
export const reservationId = (number: number): ReservationId => uuid(8, number)
