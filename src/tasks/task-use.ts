import type { ReservationId, SubscriptionId, TaskId } from './ids.js'

/** Whatever refers to a task that has ended, so that it must stay. */
export type TaskUse =
  | { readonly by: 'parent' | 'child' | 'dependent'; readonly taskId: TaskId }
  | { readonly by: 'subscription'; readonly subscriptionId: SubscriptionId }
  | { readonly by: 'reservation'; readonly reservationId: ReservationId }
