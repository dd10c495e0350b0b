import { describe, expect, it } from 'vitest'
import type { CommandOf, SubscriptionId, SystemEvent } from '../../src/tasks/index.js'
import { reach, subscribe, taskCreate, token } from './support/commands.js'
import { R1, R2, S1, S2, T1, T2 } from './support/ids.js'
import { given } from './support/specification.js'

const custom = { type: 'custom', key: 'deploy' } as const
const fired: SystemEvent = { type: 'custom_event', key: 'deploy' }
const trigger = (id: SubscriptionId = S1): CommandOf<'subscription_trigger'> => ({
  type: 'subscription_trigger',
  subscriptionId: id,
  atMs: 200,
})
const cancel = (id: SubscriptionId = S1): CommandOf<'subscription_cancel'> => ({
  type: 'subscription_cancel',
  subscriptionId: id,
  atMs: 210,
})
const consume = (id: SubscriptionId = S1): CommandOf<'subscription_consume'> => ({
  type: 'subscription_consume',
  subscriptionId: id,
  atMs: 220,
})

describe('subscription_create', () => {
  it('[T-21] arms a subscription', () =>
    given(taskCreate())
      .when(subscribe(S1, custom))
      .accepts({
        event: {
          type: 'subscription_created',
          subscriptionId: S1,
          taskId: T1,
          filter: custom,
          rearm: false,
          atMs: 105,
        },
        applied: { type: 'subscription_create', subscriptionId: S1, taskId: T1 },
        then: (projection) => {
          expect([...projection.subscriptionsFor(fired)].map((row) => row.subscriptionId)).toEqual([S1])
          expect([...projection.subscriptionsFor({ type: 'custom_event', key: 'other' })]).toEqual([])
          expect([...projection.subscriptionsOf(T1)].map((row) => row.subscriptionId)).toEqual([S1])
        },
      }))

  it('[T-21] refuses an unknown task, a known id and bounds of the filter', async () => {
    await given().when(subscribe(S1, custom)).refuses('unknown_task', { taskId: T1 })
    await given(taskCreate(), subscribe(S1, custom))
      .when(subscribe(S1, custom))
      .refuses('subscription_already_exists', { subscriptionId: S1 })
    await given(taskCreate())
      .when(subscribe(S1, { type: 'custom', key: '' }))
      .refuses('empty_custom_key', {})
    await given(taskCreate())
      .when(subscribe(S1, { type: 'budget_threshold', taskId: T1, dimension: token, thresholdPercent: 101 }))
      .refuses('invalid_threshold_percent', { thresholdPercent: 101 })
  })
})

describe('subscription_trigger and subscription_consume', () => {
  it('[T-192] keep a one-shot triggered until its run is released, and spent afterwards', async () => {
    const armed = [reach.scheduled, subscribe(S1, custom)]
    await given(...armed)
      .when(trigger())
      .accepts({
        event: { type: 'subscription_triggered', subscriptionId: S1, atMs: 200 },
        applied: { type: 'subscription_trigger', subscriptionId: S1 },
        then: (projection) => {
          expect([...projection.triggeredSubscriptions()].map((row) => row.subscriptionId)).toEqual([S1])
          expect([...projection.subscriptionsFor(fired)]).toEqual([])
        },
      })
    await given(...armed, trigger())
      .when({ ...consume(), runId: R1 })
      .accepts({
        event: { type: 'subscription_consumed', subscriptionId: S1, runId: R1, atMs: 220 },
        applied: { type: 'subscription_consume', subscriptionId: S1 },
        then: (projection) => {
          expect([...projection.triggeredSubscriptions()]).toEqual([])
          expect([...projection.subscriptionsFor(fired)]).toEqual([])
          expect(projection.subscription(S1)).toMatchObject({
            triggeredAtMs: 200,
            consumedAtMs: 220,
            pendingTriggers: 0,
          })
        },
      })
    const already = { subscriptionId: S1 }
    await given(...armed, trigger())
      .when(trigger())
      .refuses('subscription_already_triggered', already)
    await given(...armed, trigger(), consume())
      .when(trigger())
      .refuses('subscription_already_triggered', already)
  })

  it('[T-192] release one run per event when the subscription re-arms', () =>
    given(taskCreate(), subscribe(S1, custom, { rearm: true }), trigger(), trigger())
      .when(consume())
      .accepts({
        then: (projection) => {
          expect(projection.subscription(S1)?.pendingTriggers).toBe(1)
          expect([...projection.triggeredSubscriptions()].map((row) => row.subscriptionId)).toEqual([S1])
          expect([...projection.subscriptionsFor(fired)].map((row) => row.subscriptionId)).toEqual([S1])
        },
      }))

  it('[T-137] refuse unknown and cancelled subscriptions, and a trigger that is not there', async () => {
    for (const command of [trigger(), cancel(), consume()]) {
      await given(taskCreate()).when(command).refuses('unknown_subscription', { subscriptionId: S1 })
      await given(taskCreate(), subscribe(S1, custom), cancel())
        .when(command)
        .refuses('subscription_already_cancelled', { subscriptionId: S1 })
    }
    await given(taskCreate(), subscribe(S1, custom))
      .when(consume())
      .refuses('subscription_not_triggered', { subscriptionId: S1 })
    await given(taskCreate(), subscribe(S1, custom), trigger())
      .when({ ...consume(), runId: R2 })
      .refuses('unknown_run', { runId: R2 })
  })
})

it('[T-21] subscription_cancel disarms, and drops a trigger that has released nothing', () =>
  given(taskCreate(), subscribe(S1, custom, { rearm: true }), trigger())
    .when(cancel())
    .accepts({
      event: { type: 'subscription_cancelled', subscriptionId: S1, atMs: 210 },
      applied: { type: 'subscription_cancel', subscriptionId: S1 },
      then: (projection) => {
        expect(projection.subscription(S1)?.cancelledAtMs).toBe(210)
        expect([...projection.subscriptionsFor(fired)]).toEqual([])
        expect([...projection.triggeredSubscriptions()]).toEqual([])
      },
    }))

it.each<[SystemEvent, readonly SubscriptionId[]]>([
  [{ type: 'task_reached_terminal_success', taskId: T1 }, [S1]],
  [{ type: 'task_reached_terminal_success', taskId: T2 }, []],
  [{ type: 'budget_threshold_crossed', taskId: T1, dimension: token, percent: 80 }, [S2]],
  [{ type: 'budget_threshold_crossed', taskId: T1, dimension: token, percent: 79 }, []],
  [{ type: 'run_changed_state', taskId: T1, newState: 'failed' }, []],
])('[T-32] finds the subscriptions that %o fires', (event, expected) =>
  given(taskCreate(), subscribe(S1, { type: 'task_completed', taskId: T1 }))
    .when(subscribe(S2, { type: 'budget_threshold', taskId: T1, dimension: token, thresholdPercent: 80 }))
    .accepts({
      then: (projection) =>
        expect([...projection.subscriptionsFor(event)].map((row) => row.subscriptionId)).toEqual(expected),
    }),
)

it('[T-32] tells the states of a run apart', () =>
  given(taskCreate(), subscribe(S1, { type: 'run_state_changed', taskId: T1, state: 'suspended' }))
    .when(subscribe(S2, { type: 'run_state_changed', taskId: T1, state: 'failed' }))
    .accepts({
      then: (projection) => {
        const event = { type: 'run_changed_state', taskId: T1, newState: 'suspended' } as const
        expect([...projection.subscriptionsFor(event)].map((row) => row.subscriptionId)).toEqual([S1])
      },
    }))
