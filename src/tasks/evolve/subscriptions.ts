import type { EventOf } from '../events.js'
import type { Draft } from '../projection/draft.js'
import type { Subscription } from '../subscription.js'

/** Arms a subscription. */
export function subscriptionCreated(draft: Draft, event: EventOf<'subscription_created'>): void {
  const { subscriptionId, taskId, filter, rearm, atMs } = event
  draft.put(draft.tables.subscriptions, subscriptionId, {
    subscriptionId,
    taskId,
    filter,
    rearm,
    createdAtMs: atMs,
    pendingTriggers: 0,
  })
}

/** Its filter matched: one more run may be released. */
export function subscriptionTriggered(draft: Draft, event: EventOf<'subscription_triggered'>): void {
  change(draft, event, ({ pendingTriggers }) => ({
    triggeredAtMs: event.atMs,
    pendingTriggers: pendingTriggers + 1,
  }))
}

/** A trigger has released its run. */
export function subscriptionConsumed(draft: Draft, event: EventOf<'subscription_consumed'>): void {
  change(draft, event, ({ pendingTriggers }) => ({
    consumedAtMs: event.atMs,
    pendingTriggers: Math.max(0, pendingTriggers - 1),
  }))
}

/** Releases nothing any more. */
export function subscriptionCancelled(draft: Draft, event: EventOf<'subscription_cancelled'>): void {
  change(draft, event, () => ({ cancelledAtMs: event.atMs }))
}

function change(
  draft: Draft,
  { subscriptionId }: Pick<Subscription, 'subscriptionId'>,
  update: (subscription: Subscription) => Partial<Subscription>,
): void {
  const subscription = draft.view.subscription(subscriptionId)
  if (subscription === undefined) return
  draft.put(draft.tables.subscriptions, subscriptionId, { ...subscription, ...update(subscription) })
}
