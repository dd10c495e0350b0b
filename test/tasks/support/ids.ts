import type {
  ActorId,
  AttemptId,
  LedgerEntryId,
  ReservationId,
  RunId,
  SubscriptionId,
  TaskId,
  TenantId,
} from '../../../src/tasks/index.js'

/** A readable UUID: the kind of thing in the first group, its number in the last. */
function uuid<Id extends string>(kind: number, number: number): Id {
  return `${kind.toString(16).padStart(8, '0')}-0000-4000-8000-${number.toString(16).padStart(12, '0')}` as Id
}

export const nil = '00000000-0000-0000-0000-000000000000'
export const taskId = (number: number): TaskId => uuid(1, number)
export const runId = (number: number): RunId => uuid(2, number)
export const attemptId = (number: number): AttemptId => uuid(3, number)
export const actorId = (number: number): ActorId => uuid(4, number)
export const tenantId = (number: number): TenantId => uuid(5, number)
export const entryId = (number: number): LedgerEntryId => uuid(6, number)
export const subscriptionId = (number: number): SubscriptionId => uuid(7, number)
export const reservationId = (number: number): ReservationId => uuid(8, number)

export const [T1, T2, T3] = [taskId(1), taskId(2), taskId(3)] as const
export const [R1, R2, R3] = [runId(1), runId(2), runId(3)] as const
export const [A1, A2, A3] = [attemptId(1), attemptId(2), attemptId(3)] as const
export const [S1, S2] = [subscriptionId(1), subscriptionId(2)] as const
