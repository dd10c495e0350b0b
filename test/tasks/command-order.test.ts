import { expect, it } from 'vitest'
import {
  budgetDimension,
  TaskAuthority,
  type CommandType,
  type TaskCommand,
  type TaskErrorCode,
} from '../../src/tasks/index.js'
import { Lane } from '../../src/lane/lane.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { expectRefusal, factsIn, openTasks, stateOf, submitAll } from './support/authority.js'
import {
  allocate,
  cancel,
  finish,
  held,
  lease,
  move,
  reach,
  runCreate,
  start,
  subscribe,
  taskCreate,
  working,
} from './support/commands.js'
import { A1, A2, actorId, entryId, R1, R2, reservationId, S1, T1, T2, T3, taskId, tenantId } from './support/ids.js'

const suspend: TaskCommand = { type: 'run_suspend', runId: R1, atMs: 125 }
const trigger: TaskCommand = { type: 'subscription_trigger', subscriptionId: S1, atMs: 126 }
const subscribed = subscribe(S1, { type: 'custom', key: 'go' })
const unsubscribe: TaskCommand = { type: 'subscription_cancel', subscriptionId: S1, atMs: 127 }
const consumeTrigger: TaskCommand = { type: 'subscription_consume', subscriptionId: S1, runId: R2, atMs: 128 }

const reserve = (more: object = {}): TaskCommand => ({
  type: 'budget_reserve',
  reservationId: reservationId(1),
  taskId: T1,
  dimension: budgetDimension('token'),
  amount: 20,
  atMs: 106,
  ...more,
})

const entry = (tenant: number): TaskCommand => ({
  type: 'ledger_append',
  entry: {
    entryId: entryId(1),
    tenantId: tenantId(tenant),
    actorId: actorId(9),
    ledgerKey: 'k',
    payload: '' as never,
    atMs: 1,
  },
  atMs: 1,
})

/** A chain that ends at the deepest place a task may have, whose last task has ended. */
const deepest = Array.from({ length: 9 }, (_, depth) =>
  taskCreate(taskId(20 + depth), depth === 0 ? {} : { parentTaskId: taskId(19 + depth) }),
)

/** Commands that break two rules at once: the one that stands first in the table of `docs/tasks.md` is the refusal. */
const rules: readonly (readonly [TaskErrorCode, string, readonly TaskCommand[], TaskCommand])[] = [
  ['task_already_exists', 'an unknown parent', reach.scheduled, taskCreate(T1, { parentTaskId: T3 })],
  ['orphan_prevention', 'its depth', [...deepest, cancel(taskId(28))], taskCreate(T1, { parentTaskId: taskId(28) })],
  [
    'run_already_exists',
    'a state that is not scheduled',
    reach.scheduled,
    { type: 'run_create', runInstance: { ...runCreate().runInstance, state: 'ready' } },
  ],
  [
    'run_create_requires_scheduled',
    'a cancelled task',
    [taskCreate(), cancel()],
    { type: 'run_create', runInstance: { ...runCreate().runInstance, state: 'ready' } },
  ],
  [
    'task_already_cancelled',
    'a past',
    [taskCreate(), cancel()],
    { type: 'run_create', runInstance: { ...runCreate().runInstance, attemptCount: 1 } },
  ],
  ['invalid_transition', 'a cancelled task', [...reach.scheduled, cancel()], move('scheduled', 'leased')],
  ['run_of_cancelled_task', 'a missing token', [...held, cancel()], move('leased', 'running')],
  ['fencing_token_required', 'an open attempt', working, move('running', 'completed')],
  ['attempt_still_active', 'a lease', working, move('running', 'retry_wait', { fencingToken: 5 })],
  ['attempt_start_already_active', 'a cancelled task', [...working, cancel()], start(A2)],
  [
    'run_of_cancelled_task',
    'a missing token',
    [...held, move('leased', 'running', { fencingToken: 5 }), cancel()],
    start(),
  ],
  [
    'fencing_token_required',
    'an id that was used',
    [...working, finish(A1, undefined, { fencingToken: 5 })],
    start(A1),
  ],
  ['attempt_finish_attempt_mismatch', 'a missing token', working, finish(A2)],
  ['task_already_cancelled', 'a time before its creation', [...reach.scheduled, cancel()], cancel(T1, 1)],
  ['run_suspend_requires_running', 'a missing token', held, suspend],
  ['fencing_token_required', 'an open attempt', working, suspend],
  ['attempt_still_active', 'a lease', working, { ...suspend, fencingToken: 5 }],
  [
    'run_resume_requires_suspended',
    'a cancelled task',
    [...reach.ready, cancel()],
    { type: 'run_resume', runId: R1, atMs: 1 },
  ],
  ['lease_invalid_run_state', 'a lease that is held', working, lease('lease_acquire')],
  ['lease_already_active', 'a cancelled task', [...held, cancel()], lease('lease_acquire')],
  [
    'lease_heartbeat_expiry_regression',
    'a token that does not hold',
    held,
    lease('lease_heartbeat', { expiresAtMs: 1, fencingToken: 4 }),
  ],
  [
    'lease_expiry_mismatch',
    'a token that does not hold',
    held,
    lease('lease_release', { expiresAtMs: 1, fencingToken: 4 }),
  ],
  ['unknown_task', 'an unknown run', [], reserve({ runId: R2 })],
  ['unknown_run', 'a known reservation', [taskCreate(), allocate(100), reserve()], reserve({ runId: R2 })],
  [
    'reservation_already_exists',
    'a task without a budget',
    [taskCreate(), allocate(100), reserve(), taskCreate(T2)],
    reserve({ taskId: T2 }),
  ],
  ['unknown_task', 'a known subscription', [taskCreate(), subscribed], { ...subscribed, taskId: T3 }],
  ['subscription_already_cancelled', 'a trigger', [taskCreate(), subscribed, trigger, unsubscribe], trigger],
  ['subscription_already_cancelled', 'no trigger', [taskCreate(), subscribed, unsubscribe], consumeTrigger],
  ['subscription_not_triggered', 'an unknown run', [taskCreate(), subscribed], consumeTrigger],
  ['unknown_tenant', 'an unknown actor', [], entry(9)],
  [
    'unknown_actor',
    'a known entry',
    [
      { type: 'tenant_create', registration: { tenantId: tenantId(1), name: 'n' }, atMs: 1 },
      {
        type: 'ledger_append',
        entry: { entryId: entryId(1), tenantId: tenantId(1), ledgerKey: 'k', payload: '' as never, atMs: 1 },
        atMs: 1,
      },
    ],
    entry(1),
  ],
]

it.each(rules)('[T-118] [T-129] %s comes before %s', async (code, _, before, command) => {
  const tasks = await openTasks()
  await submitAll(tasks, before)
  const state = stateOf(tasks)
  await expect(tasks.authority.submit<CommandType>(command)).rejects.toMatchObject({ name: 'TaskError', code })
  expect(stateOf(tasks)).toEqual(state)
})

it('[T-118] shape comes before sequence, sequence before what the state refuses', async () => {
  const { authority } = await openTasks()
  const options = { expectedSequence: 9 }
  const misshapen = { ...cancel(T1), atMs: -1 }
  await expect(authority.submit(misshapen, options)).rejects.toMatchObject({ code: 'invalid_input' })
  await expectRefusal(authority.submit(cancel(T1), options), 'non_monotonic_sequence', { expected: 1, provided: 9 })
})

/** An authority that can take one more command, on an empty journal. */
async function openAtTheEnd() {
  const store = createMemoryJournal()
  const authority = new TaskAuthority()
  const lane = await Lane.open({ store, streamFor: () => authority })
  const header = { row: 'header', version: 1, sequence: 2 ** 53 - 2, counts: {} }
  for (const row of [header, { row: 'end' }]) authority.restore(row)
  lane.attach(authority)
  authority.start(lane)
  return { store, authority, lane }
}

it('[T-119] a command after the last sequence a number can count is refused, and the journal is as it was', async () => {
  const { store, authority, lane } = await openAtTheEnd()
  expect((await authority.submit(taskCreate())).sequence).toBe(2 ** 53 - 1)
  await expectRefusal(authority.submit(taskCreate(T2)), 'sequence_overflow', {})
  await expectRefusal(authority.submitBatch([runCreate()]), 'sequence_overflow', {})
  expect(authority.projection).toMatchObject({ latestSequence: 2 ** 53 - 1, taskCount: 1, runCount: 0 })
  await lane.close()
  expect(await factsIn(store)).toMatchObject([{ type: 'task_created', sequence: 2 ** 53 - 1 }])
})

it('[T-119] a batch that runs out of sequences is refused as a whole', async () => {
  const { store, authority, lane } = await openAtTheEnd()
  await expectRefusal(authority.submitBatch([taskCreate(), runCreate()]), 'sequence_overflow', {})
  expect(authority.projection).toMatchObject({ latestSequence: 2 ** 53 - 2, taskCount: 0 })
  await lane.close()
  expect(await factsIn(store)).toEqual([])
})
