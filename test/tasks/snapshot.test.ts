import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import { budgetDimension, failed, TaskAuthority, type TaskCommand } from '../../src/tasks/index.js'
import { openTasks, reopenTasks, stateOf, submitAll, type ErrorData } from './support/authority.js'
import {
  allocate,
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
  working,
} from './support/commands.js'
import { fromWire, toWire } from './support/wire.js'
import {
  A1,
  A2,
  actorId,
  attemptId,
  entryId,
  nil,
  R1,
  R2,
  R3,
  reservationId,
  S1,
  T1,
  T2,
  T3,
  taskId,
  tenantId,
} from './support/ids.js'

const [actor, tenant] = [actorId(1), tenantId(1)]

/** One of everything. */
const commands: readonly TaskCommand[] = [
  ...working,
  taskCreate(T2, { parentTaskId: T1, metadata: { tags: ['x'], priority: 3, description: 'd' } }),
  runCreate(R2, T2, { scheduledAtMs: 9000, priority: 3 }),
  move('scheduled', 'ready', { runId: R2 }),
  taskCreate(T3, { runPolicy: { type: 'cron', expression: '0 0 12 * * * *' } }),
  runCreate(R3, T3),
  depend(T3, T1, T2),
  allocate(100),
  consume(30, T2),
  {
    type: 'budget_reserve',
    reservationId: reservationId(1),
    taskId: T2,
    dimension: budgetDimension('token'),
    amount: 20,
    runId: R2,
    atMs: 1,
  },
  subscribe(S1, { type: 'custom', key: 'go' }, { rearm: true }),
  { type: 'subscription_trigger', subscriptionId: S1, atMs: 1 },
  {
    type: 'actor_register',
    registration: { actorId: actor, identity: 'alpha', capabilities: ['gpu'], heartbeatIntervalMs: 30 },
    atMs: 1,
  },
  { type: 'actor_heartbeat', actorId: actor, atMs: 77 },
  { type: 'tenant_create', registration: { tenantId: tenant, name: 'north' }, atMs: 1 },
  { type: 'role_assign', actorId: actor, tenantId: tenant, role: { type: 'operator' }, atMs: 1 },
  { type: 'capability_grant', actorId: actor, tenantId: tenant, capability: { type: 'can_cancel' }, atMs: 1 },
  { type: 'capability_revoke', actorId: actor, tenantId: tenant, capability: { type: 'can_cancel' }, atMs: 2 },
  {
    type: 'ledger_append',
    entry: { entryId: entryId(1), tenantId: tenant, ledgerKey: 'k', payload: 'AP8=' as never, atMs: 5 },
    atMs: 9,
  },
  { type: 'engine_pause', atMs: 50 },
]

async function rowsAfter(before: readonly TaskCommand[]): Promise<JsonObject[]> {
  const tasks = await openTasks()
  await submitAll(tasks, before)
  return stateOf(tasks).map((row) => fromWire(row as object))
}

function restore(rows: readonly JsonObject[]): TaskAuthority {
  const authority = new TaskAuthority()
  for (const row of rows) authority.restore(toWire(row))
  return authority
}

describe('a snapshot', () => {
  it('[T-50, T-67] plus the tail gives what the whole log gives', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, commands.slice(0, 20))
    await tasks.lane.compact()
    await submitAll(tasks, commands.slice(20))
    const live = stateOf(tasks)
    const restored = await reopenTasks(tasks)
    expect(stateOf(restored)).toEqual(live)
    expect(restored.authority.projection.latestSequence).toBe(commands.length)
    expect(await restored.authority.submit({ type: 'engine_resume', atMs: 60 })).toMatchObject({
      sequence: commands.length + 1,
    })
  })

  it('[T-50] restores every index with the rows', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, commands)
    await tasks.lane.compact()
    const { projection } = (await reopenTasks(tasks)).authority
    expect([...projection.ready()].map(({ id }) => id)).toEqual([R2])
    expect([...projection.leased()].map(({ id }) => id)).toEqual([R1])
    expect(projection.countIn('scheduled')).toBe(1)
    expect([...projection.dueScheduled(100_000)]).toEqual([])
    expect(projection.dependencyGate(T3)).toBe('waiting')
    expect([...projection.children(T1)]).toEqual([T2])
    expect([...projection.cronTasks()].map(({ spec }) => spec.id)).toEqual([T3])
    expect([...projection.triggeredSubscriptions()]).toHaveLength(1)
    expect([...projection.reservationsOf(R2)]).toMatchObject([{ amount: 20, chargedTaskIds: [T1] }])
    expect(projection.task(T2)).toMatchObject({ depth: 1, progress: { runs: 1, open: 1, completed: 0 } })
    expect([...projection.ledgerByKey('k')]).toHaveLength(1)
  })

  it('[T-70] brings back pause, lease and active attempt, and a heartbeat extends that lease', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, commands)
    await tasks.lane.compact()
    await tasks.authority.submit(lease('lease_heartbeat', { expiresAtMs: 6000, atMs: 118 }))
    const { projection } = (await reopenTasks(tasks)).authority
    expect(projection.engine).toEqual({ paused: true, pausedAtMs: 50 })
    expect(projection.run(R1)).toMatchObject({
      currentAttemptId: A1,
      lease: { owner: 'worker', expiresAtMs: 6000, fencingToken: 5, acquiredAtMs: 115, updatedAtMs: 118 },
    })
  })

  it('[T-144, T-71] taken right after a lease expiry, or with a promoted future run, loads', async () => {
    for (const before of [
      [...held, lease('lease_expire')],
      [taskCreate(), runCreate(R1, T1, { scheduledAtMs: 99_999 }), move('scheduled', 'ready')],
    ]) {
      const tasks = await openTasks()
      await submitAll(tasks, before)
      await tasks.lane.compact()
      expect((await reopenTasks(tasks)).authority.projection.run(R1)?.state).toBe('ready')
    }
  })

  it('[T-72] keeps the last heartbeat of an actor', async () => {
    const authority = restore(await rowsAfter(commands))
    expect(authority.projection.actor(actor)?.lastHeartbeatAtMs).toBe(77)
  })

  it('[T-159] does not change while it is being written', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.scheduled)
    const rows = tasks.authority.capture()
    await submitAll(tasks, [move('scheduled', 'ready'), taskCreate(T2), allocate(5)])
    expect(restore([...rows]).projection).toMatchObject({ latestSequence: 2, taskCount: 1, runCount: 1 })
  })

  it('[T-159] is taken from what is committed, not from what is under way', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.scheduled)
    const underWay = tasks.authority.submit(move('scheduled', 'ready'))
    expect(restore(stateOf(tasks) as JsonObject[]).projection.run(R1)?.state).toBe('scheduled')
    await underWay
  })
})

describe('a snapshot of a run that is larger than a record', () => {
  const text = (letter: string): string => letter.repeat(2 ** 20)
  const outcomes = ['a', 'b', 'c'].map((letter) => failed(text(letter), 'retryable'))

  /** Three attempts with an error of 1 MiB each, after steps whose reasons take as much. */
  const lived: readonly TaskCommand[] = [
    ...reach.running,
    { type: 'run_suspend', runId: R1, reason: text('x'), atMs: 125 },
    { type: 'run_resume', runId: R1, atMs: 126 },
    move('ready', 'leased'),
    move('leased', 'running'),
    ...outcomes.flatMap((outcome, index) => {
      const id = attemptId(index + 1)
      return [start(id), finish(id, outcome)]
    }),
  ]

  it('has a row for every attempt and step that does not fit the row of its run', async () => {
    const rows = await rowsAfter(lived)
    const sizes = rows.map((row) => [row['row'], row['list'], JSON.stringify(row).length > 2 ** 20])
    expect(sizes).toEqual([
      ['header', undefined, false],
      ['task', undefined, false],
      ['run', undefined, false],
      ['part', 'history', true],
      ['part', 'history', false],
      ...Array.from({ length: 3 }, () => ['part', 'attempts', true]),
      ['end', undefined, false],
    ])
  })

  it('gives the same run back, and the same rows', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, lived)
    const run = tasks.authority.projection.run(R1)
    const rows = stateOf(tasks)
    await tasks.lane.compact()
    const restored = await reopenTasks(tasks)
    expect(restored.authority.projection.run(R1)).toEqual(run)
    expect(run?.attempts.map(({ outcome }) => outcome)).toEqual(outcomes)
    expect(stateOf(restored)).toEqual(rows)
  })

  it.each(['attempts', 'history'])('is refused when a part of its %s is missing', async (list) => {
    const rows = await rowsAfter(lived)
    const missing = rows.findIndex((row) => row['list'] === list)
    const code = list === 'attempts' ? 'snapshot_attempt_count' : 'snapshot_history_chain'
    expect(() => restore(rows.toSpliced(missing, 1))).toThrow(expect.objectContaining({ code }))
  })
})

it('a snapshot of more prerequisites than a row takes gives all of them back in their order', async () => {
  const tasks = await openTasks()
  const others = Array.from({ length: 30_000 }, (_, index) => taskId(index + 10))
  await tasks.authority.submitBatch([...others.map((id) => taskCreate(id)), taskCreate(T1), depend(T1, ...others)])
  const rows = stateOf(tasks).map((row) => fromWire(row as object))
  const parts = rows.filter(({ row }) => row === 'prerequisites' || row === 'part')
  expect(parts.map(({ row, list }) => [row, list])).toEqual([
    ['prerequisites', undefined],
    ['part', 'depends_on'],
  ])
  expect(restore(rows).projection.prerequisites(T1)).toEqual(others)
})

type Edit = (row: JsonObject) => JsonObject | readonly JsonObject[]
const same = (row: JsonObject): readonly JsonObject[] => [row, row]
const put =
  (change: object): Edit =>
  (row) => ({ ...row, ...change })
const without =
  (key: string): Edit =>
  (row) =>
    Object.fromEntries(Object.entries(row).filter(([name]) => name !== key))

const miscount =
  (kind: string): Edit =>
  (row) => ({ ...row, counts: { ...(row['counts'] as JsonObject), [kind]: 9 } })

/** [T-69] Each rule of a stored row: the row to change, how, and the tag of its own. */
const rules: readonly (readonly [string, string, Edit, keyof ErrorData])[] = [
  ['another schema', 'header', put({ version: 2 }), 'snapshot_version'],
  ['a second header', 'header', same, 'snapshot_incomplete'],
  ['no header', 'header', () => [], 'snapshot_incomplete'],
  ['a wrong task count', 'header', miscount('task'), 'snapshot_row_count'],
  ['a wrong run count', 'header', miscount('run'), 'snapshot_row_count'],
  ['paused without a time', 'engine', without('pausedAtMs'), 'snapshot_engine'],
  ['paused and resumed', 'engine', put({ resumedAtMs: 2 }), 'snapshot_engine'],
  ['paused once, never resumed', 'engine', put({ paused: false }), 'snapshot_engine'],
  ['resumed too early', 'engine', put({ paused: false, resumedAtMs: 1 }), 'snapshot_engine'],
  ['a task twice', 'task', same, 'snapshot_duplicate_task'],
  ['a task cancelled before it was created', 'task', put({ cancelledAtMs: 1 }), 'snapshot_cancelled_before_created'],
  [
    'a nil task id',
    'task',
    (row) => ({ ...row, spec: { ...(row['spec'] as JsonObject), id: nil } }),
    'snapshot_nil_id',
  ],
  [
    'a parent that is not there',
    'task',
    (row) => ({ ...row, spec: { ...(row['spec'] as JsonObject), parentTaskId: T3 } }),
    'snapshot_unknown_parent',
  ],
  ['a run twice', 'run', same, 'snapshot_duplicate_run'],
  ['a nil run id', 'run', put({ id: nil }), 'snapshot_nil_id'],
  ['a run of an unknown task', 'run', put({ taskId: entryId(9) }), 'snapshot_unknown_task'],
  ['an attempt in a run that is not running', 'run', put({ state: 'ready' }), 'snapshot_attempt_outside_running'],
  ['an attempt that was not counted', 'run', put({ attemptCount: 0 }), 'snapshot_attempt_without_count'],
  ['more attempts than counted', 'run', put({ attemptCount: 2 }), 'snapshot_attempt_count'],
  ['an active attempt it does not hold', 'run', put({ currentAttemptId: A2 }), 'snapshot_active_attempt'],
  [
    'an active attempt that is finished',
    'run',
    put({ attempts: [{ attemptId: A1, startedAtMs: 1, finishedAtMs: 2 }] }),
    'snapshot_active_attempt',
  ],
  [
    'a history without its start',
    'run',
    put({ history: [{ from: 'scheduled', to: 'running', atMs: 1 }] }),
    'snapshot_history_start',
  ],
  ['no history', 'run', put({ history: [] }), 'snapshot_history_start'],
  [
    'an illegal edge in the history',
    'run',
    put({
      history: [
        { to: 'scheduled', atMs: 100 },
        { from: 'scheduled', to: 'running', atMs: 1 },
      ],
    }),
    'snapshot_history_chain',
  ],
  [
    'a history with a step missing',
    'run',
    put({
      history: [
        { to: 'scheduled', atMs: 100 },
        { from: 'ready', to: 'leased', atMs: 1 },
      ],
    }),
    'snapshot_history_chain',
  ],
  [
    'a history that ends elsewhere',
    'run',
    put({
      history: [
        { to: 'scheduled', atMs: 100 },
        { from: 'scheduled', to: 'ready', atMs: 1 },
      ],
    }),
    'snapshot_history_end',
  ],
  [
    'a lease in a state that holds none',
    'run',
    (row) => ({
      ...(without('currentAttemptId')(row) as JsonObject),
      state: 'retry_wait',
      history: [...(row['history'] as unknown as JsonObject[]), { from: 'running', to: 'retry_wait', atMs: 1 }],
    }),
    'snapshot_lease_state',
  ],
  [
    'a part of a list that its row does not have',
    'run',
    (row) => [row, { row: 'part', list: 'steps', items: [] }],
    'snapshot_incomplete',
  ],
  [
    'a part without its row',
    'budget',
    (row) => [row, { row: 'part', list: 'history', items: [] }],
    'snapshot_incomplete',
  ],
  ['dependencies twice', 'prerequisites', same, 'snapshot_duplicate_dependency'],
  ['a prerequisite twice', 'prerequisites', put({ dependsOn: [T1, T1] }), 'snapshot_duplicate_dependency'],
  ['dependencies of an unknown task', 'prerequisites', put({ taskId: entryId(9) }), 'snapshot_unknown_task'],
  ['a budget twice', 'budget', same, 'snapshot_duplicate_budget'],
  ['a budget of an unknown task', 'budget', put({ taskId: entryId(9) }), 'snapshot_unknown_task'],
  ['a budget without a limit', 'budget', put({ limit: 0, exhausted: true }), 'snapshot_budget'],
  ['a spent budget that is not exhausted', 'budget', put({ consumed: 100 }), 'snapshot_budget'],
  ['a reservation twice', 'reservation', same, 'snapshot_duplicate_row'],
  ['a reservation of an unknown task', 'reservation', put({ taskId: entryId(9) }), 'snapshot_unknown_task'],
  ['a subscription twice', 'subscription', same, 'snapshot_duplicate_subscription'],
  ['a subscription of an unknown task', 'subscription', put({ taskId: entryId(9) }), 'snapshot_unknown_task'],
  ['an actor twice', 'actor', same, 'snapshot_duplicate_row'],
  ['a tenant twice', 'tenant', same, 'snapshot_duplicate_row'],
  ['a role twice', 'role', same, 'snapshot_duplicate_row'],
  ['a grant twice', 'grant', same, 'snapshot_duplicate_row'],
  ['a ledger entry twice', 'ledger', same, 'snapshot_duplicate_row'],
  [
    'a task that no constructor would build',
    'task',
    (row) => ({ ...row, spec: { ...(row['spec'] as JsonObject), kind: '' } }),
    'empty_kind',
  ],
  [
    'an outcome whose parts contradict each other',
    'run',
    put({ attempts: [{ attemptId: A1, startedAtMs: 1, finishedAtMs: 2, outcome: { result: 'timeout' } }] }),
    'non_success_without_error',
  ],
  [
    'a filter that no constructor would build',
    'subscription',
    put({ filter: { type: 'custom', key: '' } }),
    'empty_custom_key',
  ],
  ['an actor that no constructor would build', 'actor', put({ identity: '' }), 'empty_identity'],
  ['a row after the end', 'end', same, 'snapshot_incomplete'],
]

describe('[T-69] a snapshot row is refused with a tag of its own for', () => {
  it.each(rules)('%s', async (_, kind, edit, code) => {
    const rows = await rowsAfter(commands)
    let isEdited = false
    const edited = rows.flatMap((row) => {
      if (isEdited || row['row'] !== kind) return [row]
      isEdited = true
      return edit(row)
    })
    expect(isEdited).toBe(true)
    expect(() => restore(edited)).toThrow(expect.objectContaining({ code }))
  })

  it('[T-69] an end that is missing, at the first event and at the start', async () => {
    const rows = (await rowsAfter(commands)).slice(0, -1)
    const incomplete = expect.objectContaining({ code: 'snapshot_incomplete' })
    const event = { type: 'engine_resumed', version: 1, sequence: commands.length + 1, atMs: 99 }
    expect(() => restore(rows).replay(toWire(event))).toThrow(incomplete)
    const tasks = await openTasks()
    expect(() => restore(rows).start(tasks.lane)).toThrow(incomplete)
  })

  it('[T-69] rows that come after events', async () => {
    const rows = await rowsAfter(reach.scheduled)
    const authority = restore(rows)
    authority.replay(toWire({ type: 'engine_paused', version: 1, sequence: 3, atMs: 1 }))
    expect(() => authority.restore(toWire(rows[0] as JsonObject))).toThrow(
      expect.objectContaining({ code: 'snapshot_incomplete' }),
    )
  })

  it('[T-69] a field of the wrong shape, by its name', async () => {
    const rows = await rowsAfter(commands)
    const broken = rows.map((row) => (row['row'] === 'run' ? { ...row, attemptCount: -1 } : row))
    expect(() => restore(broken)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field: 'attemptCount' }) }),
    )
    expect(() => restore([rows[0] as JsonObject, { row: 'nonsense' }])).toThrow(
      expect.objectContaining({ code: 'invalid_input' }),
    )
  })
})

it('[T-70] a finished attempt of a cancelled run, dropped or not, loads', async () => {
  const rows = await rowsAfter([...reach.running, start(), finish(), start(A2), move('running', 'cancelled')])
  expect(restore(rows).projection.run(R1)?.attempts).toHaveLength(2)
})
