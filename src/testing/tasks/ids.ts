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

/** Returns a readable UUID: the kind of object in the first group, its number in the last. */
function uuid<Id extends string>(kind: number, number: number): Id {
  return `${kind.toString(16).padStart(8, '0')}-0000-4000-8000-${number.toString(16).padStart(12, '0')}` as Id
}

/** The id of the task with this number. */
export const taskId = (number: number): TaskId => uuid(1, number)
/** The id of the run with this number. */
export const runId = (number: number): RunId => uuid(2, number)
/** The id of the attempt with this number. */
export const attemptId = (number: number): AttemptId => uuid(3, number)
/** The id of the actor with this number. */
export const actorId = (number: number): ActorId => uuid(4, number)
/** The id of the tenant with this number. */
export const tenantId = (number: number): TenantId => uuid(5, number)
/** The id of the ledger entry with this number. */
export const entryId = (number: number): LedgerEntryId => uuid(6, number)
/** The id of the subscription with this number. */
export const subscriptionId = (number: number): SubscriptionId => uuid(7, number)
/** The id of the reservation with this number. */
export const reservationId = (number: number): ReservationId => uuid(8, number)
