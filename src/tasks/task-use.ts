import type { ReservationId, SubscriptionId, TaskId } from './ids.js'

/** What still refers to an ended task and prevents forgetting it. */
export type TaskUse =
  | { readonly by: 'parent' | 'child' | 'dependent'; readonly taskId: TaskId }
  | { readonly by: 'subscription'; readonly subscriptionId: SubscriptionId }
  | { readonly by: 'reservation'; readonly reservationId: ReservationId }
