import type { CommandOf } from '../commands.js'
import { TaskError } from '../errors.js'
import type { SubscriptionId } from '../ids.js'
import { isArmed, type Subscription } from '../subscription.js'
import type { TaskView } from '../view.js'
import { fact, type Decision } from './decision.js'
import { knownRun } from './runs.js'
import { knownTask } from './tasks.js'

/** Checks: task known; id not known. */
export function subscriptionCreate(
  view: TaskView,
  { subscriptionId, taskId, filter, rearm = false, atMs }: CommandOf<'subscription_create'>,
  sequence: number,
): Decision<'subscription_create'> {
  knownTask(view, taskId)
  if (view.subscription(subscriptionId) !== undefined) {
    throw new TaskError('subscription_already_exists', { subscriptionId })
  }
  return {
    event: fact(sequence, 'subscription_created', { subscriptionId, taskId, filter, rearm, atMs }),
    applied: { type: 'subscription_create', subscriptionId, taskId },
  }
}

/** Checks: known; not cancelled. */
export function subscriptionCancel(
  view: TaskView,
  { subscriptionId, atMs }: CommandOf<'subscription_cancel'>,
  sequence: number,
): Decision<'subscription_cancel'> {
  liveSubscription(view, subscriptionId)
  return {
    event: fact(sequence, 'subscription_cancelled', { subscriptionId, atMs }),
    applied: { type: 'subscription_cancel', subscriptionId },
  }
}

/** Checks: known; not cancelled; a one-shot not triggered before. */
export function subscriptionTrigger(
  view: TaskView,
  { subscriptionId, atMs }: CommandOf<'subscription_trigger'>,
  sequence: number,
): Decision<'subscription_trigger'> {
  const subscription = liveSubscription(view, subscriptionId)
  if (!isArmed(subscription)) throw new TaskError('subscription_already_triggered', { subscriptionId })
  return {
    event: fact(sequence, 'subscription_triggered', { subscriptionId, atMs }),
    applied: { type: 'subscription_trigger', subscriptionId },
  }
}

/** Checks: known; not cancelled; a trigger is pending; run known. */
export function subscriptionConsume(
  view: TaskView,
  { subscriptionId, runId, atMs }: CommandOf<'subscription_consume'>,
  sequence: number,
): Decision<'subscription_consume'> {
  const { pendingTriggers } = liveSubscription(view, subscriptionId)
  if (pendingTriggers === 0) throw new TaskError('subscription_not_triggered', { subscriptionId })
  if (runId !== undefined) knownRun(view, runId)
  return {
    event: fact(sequence, 'subscription_consumed', {
      subscriptionId,
      ...(runId !== undefined && { runId }),
      atMs,
    }),
    applied: { type: 'subscription_consume', subscriptionId },
  }
}

function liveSubscription(view: TaskView, subscriptionId: SubscriptionId): Subscription {
  const subscription = view.subscription(subscriptionId)
  if (subscription === undefined) throw new TaskError('unknown_subscription', { subscriptionId })
  if (subscription.cancelledAtMs !== undefined)
    throw new TaskError('subscription_already_cancelled', { subscriptionId })
  return subscription
}
