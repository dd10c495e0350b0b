import { afterEach, expect, it, vi } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import type { CommandType, TaskCommand } from '../../src/tasks/index.js'
import { factsIn, openTasks, reopenTasks, stateOf, submitAll } from './support/authority.js'
import {
  allocate,
  cancel,
  consume,
  depend,
  finish,
  held,
  lease,
  move,
  reach,
  runCreate,
  start,
  subscribe,
  taskCreate,
  token,
  working,
} from './support/commands.js'
import { R1, R2, reservationId, S1, T1, T2, tenantId } from './support/ids.js'

afterEach(() => void vi.restoreAllMocks())

const custom = { type: 'custom', key: 'go' } as const
const subscribed = [taskCreate(), subscribe(S1, custom)]
const trigger: TaskCommand = { type: 'subscription_trigger', subscriptionId: S1, atMs: 126 }
const reserve: TaskCommand = {
  type: 'budget_reserve',
  reservationId: reservationId(1),
  taskId: T1,
  dimension: token,
  amount: 20,
  atMs: 106,
}
const reservation = { reservationId: reservationId(1), atMs: 107 } as const

/** A command after what it needs, and the refusal that it meets the second time. */
const refusedAgain: readonly (readonly [CommandType, RegExp, readonly TaskCommand[], TaskCommand])[] = [
  ['task_create', /^task_already_exists$/, [], taskCreate()],
  ['run_create', /^run_already_exists$/, [taskCreate()], runCreate()],
  ['run_state_transition', /^previous_state_mismatch$/, reach.scheduled, move('scheduled', 'ready')],
  ['attempt_start', /^attempt_start_already_active$/, reach.running, start()],
  ['attempt_finish', /^attempt_finish_missing_active$/, [...reach.running, start()], finish()],
  ['task_cancel', /^task_already_cancell?ed$/, [taskCreate()], cancel()],
  ['run_suspend', /^run_suspend_requires_running$/, reach.running, { type: 'run_suspend', runId: R1, atMs: 125 }],
  ['run_resume', /^run_resume_requires_suspended$/, reach.suspended, { type: 'run_resume', runId: R1, atMs: 130 }],
  ['lease_acquire', /^lease_already_active$/, reach.leased, lease('lease_acquire')],
  ['lease_expire', /^lease_missing_active$/, held, lease('lease_expire')],
  ['lease_release', /^lease_missing_active$/, held, lease('lease_release')],
  ['engine_pause', /^engine_already_paused$/, [], { type: 'engine_pause', atMs: 1 }],
  ['engine_resume', /^engine_not_paused$/, [{ type: 'engine_pause', atMs: 1 }], { type: 'engine_resume', atMs: 2 }],
  ['budget_allocate', /^budget_already_allocated$/, [taskCreate()], allocate(100)],
  [
    'budget_replenish',
    /^budget_not_raised$/,
    [taskCreate(), allocate(100)],
    { type: 'budget_replenish', taskId: T1, dimension: token, newLimit: 200, atMs: 108 },
  ],
  ['budget_reserve', /^reservation_already_exists$/, [taskCreate(), allocate(100)], reserve],
  [
    'budget_settle',
    /^unknown_reservation$/,
    [taskCreate(), allocate(100), reserve],
    { type: 'budget_settle', ...reservation, amount: 5 },
  ],
  [
    'budget_release',
    /^unknown_reservation$/,
    [taskCreate(), allocate(100), reserve],
    { type: 'budget_release', ...reservation },
  ],
  ['subscription_create', /^subscription_already_exists$/, [taskCreate()], subscribe(S1, custom)],
  ['subscription_trigger', /^subscription_already_triggered$/, subscribed, trigger],
  [
    'subscription_consume',
    /^subscription_not_triggered$/,
    [...subscribed, trigger],
    { type: 'subscription_consume', subscriptionId: S1, atMs: 127 },
  ],
  [
    'subscription_cancel',
    /^subscription_already_cancell?ed$/,
    subscribed,
    { type: 'subscription_cancel', subscriptionId: S1, atMs: 127 },
  ],
]

it.each(refusedAgain)('[T-121] %s is refused with %s when it comes again', async (_, code, before, command) => {
  const tasks = await openTasks()
  await submitAll(tasks, [...before, command])
  const state = stateOf(tasks)
  const again = tasks.authority.submit<CommandType>(command)
  await expect(again).rejects.toMatchObject({ code: expect.stringMatching(code) as unknown })
  expect(stateOf(tasks)).toEqual(state)
})

/** The rows without the first, which counts sequences. */
const rowsOf = (state: readonly unknown[]): readonly unknown[] => state.slice(1)

it.each<readonly [CommandType, readonly TaskCommand[], TaskCommand]>([
  ['dependency_declare', [taskCreate(), taskCreate(T2)], depend(T1, T2)],
  ['lease_heartbeat', held, lease('lease_heartbeat', { expiresAtMs: 6000 })],
  ['tenant_create', [], { type: 'tenant_create', registration: { tenantId: tenantId(1), name: 'north' }, atMs: 11 }],
])('[T-121] %s does no harm when it comes again', async (_, before, command) => {
  const tasks = await openTasks()
  await submitAll(tasks, [...before, command])
  const rows = rowsOf(stateOf(tasks))
  await submitAll(tasks, [command])
  expect(rowsOf(stateOf(tasks))).toEqual(rows)
})

it('[T-121] budget_consume counts twice when it comes again', async () => {
  const tasks = await openTasks()
  await submitAll(tasks, [taskCreate(), allocate(100), consume(30), consume(30)])
  expect(tasks.authority.projection.budget(T1, token)?.consumed).toBe(60)
})

it('[T-103] a command is as old as it says: the authority reads no clock', async () => {
  const tasks = await openTasks()
  const clocks = [vi.spyOn(Date, 'now'), vi.spyOn(performance, 'now')]
  // Long past by any clock, and still the lease is held.
  await submitAll(tasks, [...working, lease('lease_heartbeat', { expiresAtMs: 5001, atMs: 7 })])
  expect(tasks.authority.projection.run(R1)?.lease).toMatchObject({ expiresAtMs: 5001, updatedAtMs: 7 })
  for (const clock of clocks) expect(clock).not.toHaveBeenCalled()
})

it.each([1.5, -1, Number.NaN, 2 ** 53, '7'])('[T-103] a command of the time %s is refused', async (atMs) => {
  const { authority } = await openTasks()
  await expect(authority.submit(taskCreate(T1, {}, atMs as number))).rejects.toMatchObject({
    code: 'invalid_input',
    data: { field: 'atMs' },
  })
})

it('[T-117] an event in the log is one object with its sequence, type and version', async () => {
  const store = createMemoryJournal()
  const tasks = await openTasks(store)
  await submitAll(tasks, [...working, runCreate(R2), { type: 'engine_pause', atMs: 1 }])
  await tasks.lane.close()
  expect(await factsIn(store)).toMatchObject(
    [
      'task_created',
      'run_created',
      'run_state_changed',
      'run_state_changed',
      'lease_acquired',
      'run_state_changed',
      'attempt_started',
      'run_created',
      'engine_paused',
    ].map((type, index) => ({ sequence: index + 1, type, version: 1 })),
  )
})

it('[T-22] what is read cannot be written: neither by assigning nor by calling what there is', async () => {
  const tasks = await openTasks()
  await submitAll(tasks, [...working, allocate(100), subscribe(S1, custom)])
  const state = stateOf(tasks)
  const { projection } = tasks.authority
  for (const name of ['latestSequence', 'taskCount', 'runCount', 'engine']) Reflect.set(projection, name, 9)
  Reflect.set(tasks.authority, 'projection', undefined)
  for (const name of namesOf(projection)) {
    const member: unknown = Reflect.get(projection, name)
    if (typeof member !== 'function') continue
    for (const args of [[], [T1], [R1], [T1, token]]) tryTo(() => [...(Reflect.apply(member, projection, args) as [])])
  }
  expect(tasks.authority.projection).toBe(projection)
  expect(projection.latestSequence).toBe(9)
  expect(projection.runCount).toBe(1)
  expect(stateOf(tasks)).toEqual(state)
  expect(stateOf(await reopenTasks(tasks))).toEqual(state)
})

function namesOf(object: object): Set<string> {
  const names = new Set<string>()
  for (
    let level: object | null = object;
    level !== null && level !== Object.prototype;
    level = Reflect.getPrototypeOf(level)
  ) {
    for (const name of Object.getOwnPropertyNames(level)) if (name !== 'constructor') names.add(name)
  }
  return names
}

/** Nonsense may throw; what matters is what it leaves behind. */
function tryTo(call: () => unknown): void {
  try {
    call()
  } catch {}
}
