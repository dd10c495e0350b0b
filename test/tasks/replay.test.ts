import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import {
  createRun,
  createTaskSpec,
  TaskAuthority,
  type EventPayloads,
  type EventType,
  type RunState,
  type TaskCommand,
  type TaskErrorCode,
} from '../../src/tasks/index.js'
import { openTasks, reopenTasks, stateOf, submitAll } from './support/authority.js'
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
} from './support/commands.js'
import { toWire } from './support/wire.js'
import { A1, A2, actorId, nil, R1, R2, reservationId, S1, S2, T1, T2, tenantId } from './support/ids.js'

/** Feeds stored events to an authority the way the lane does, numbering them from 1. */
function replay(): {
  readonly authority: TaskAuthority
  take<Type extends EventType>(type: Type, payload: EventPayloads[Type], sequence?: number): void
  refuses<Type extends EventType>(type: Type, payload: EventPayloads[Type], code: TaskErrorCode, data: object): void
} {
  const authority = new TaskAuthority()
  const take = (type: EventType, payload: object, sequence = authority.projection.latestSequence + 1): void =>
    authority.replay(toWire({ sequence, type, version: 1, ...payload }))
  return {
    authority,
    take,
    refuses(type, payload, code, data) {
      const sequence = authority.projection.latestSequence + 1
      const before = [...authority.capture()]
      const error = errorOf(() => take(type, payload))
      expect(error).toMatchObject({ code, data: { sequence, ...data } })
      expect([...authority.capture()]).toEqual(before)
      expect(authority.projection.latestSequence).toBe(sequence - 1)
    },
  }
}

function errorOf(run: () => void): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return 'accepted'
}

const spec = createTaskSpec({ id: T1, kind: 'work' })
const run = createRun({ id: R1, taskId: T1, createdAtMs: 100, scheduledAtMs: 100 })

/** A log with one task and one run in a state, leases and attempts aside. */
function withRun(state: RunState): ReturnType<typeof replay> {
  const log = replay()
  log.take('task_created', { taskSpec: spec, atMs: 100 })
  log.take('run_created', { runInstance: run })
  const paths: Record<RunState, readonly RunState[]> = {
    scheduled: ['scheduled'],
    ready: ['scheduled', 'ready'],
    leased: ['scheduled', 'ready', 'leased'],
    running: ['scheduled', 'ready', 'leased', 'running'],
    retry_wait: ['scheduled', 'ready', 'leased', 'running', 'retry_wait'],
    suspended: ['scheduled', 'ready', 'leased', 'running', 'suspended'],
    completed: ['scheduled', 'ready', 'leased', 'running', 'completed'],
    failed: ['scheduled', 'ready', 'leased', 'running', 'failed'],
    cancelled: ['scheduled', 'cancelled'],
  }
  const path = paths[state]
  for (const [index, newState] of path.entries()) {
    const previousState = path[index - 1]
    if (previousState === undefined) continue
    log.take('run_state_changed', { runId: R1, previousState, newState, atMs: 110 })
  }
  return log
}

const leaseFields = { runId: R1, owner: 'worker', expiresAtMs: 5000, atMs: 115 }

describe('sequences', () => {
  it('[T-34] an empty log gives sequence 0 and nothing else', () => {
    const { authority } = replay()
    expect(authority.projection.latestSequence).toBe(0)
    expect(authority.projection.taskCount).toBe(0)
    expect([...authority.capture()]).toEqual([])
  })

  it('[T-35] a refused event leaves its number to the next', () => {
    const log = replay()
    log.take('task_created', { taskSpec: spec, atMs: 100 })
    log.refuses('task_created', { taskSpec: spec, atMs: 100 }, 'replay_duplicate_event', { id: T1 })
    log.take('run_created', { runInstance: run }, 2)
    expect(log.authority.projection.latestSequence).toBe(2)
  })

  it.each([
    ['a gap', 3],
    ['a repetition', 1],
    ['a number from before', 0],
  ])('[T-36, T-155] the log of an authority has no number twice and misses none: %s is refused', (_, sequence) => {
    const log = replay()
    log.take('engine_paused', { atMs: 1 })
    const error = errorOf(() => log.take('engine_resumed', { atMs: 1 }, sequence))
    expect(error).toMatchObject(
      sequence === 0
        ? { code: 'invalid_input', data: { field: 'sequence' } }
        : { code: 'replay_sequence', data: { stream: 'tasks', expected: 2, found: sequence } },
    )
    expect(log.authority.projection.latestSequence).toBe(1)
  })
})

describe('[T-117] malformed events', () => {
  it.each([
    ['an unknown type', { type: 'task_lost', version: 1, sequence: 1 }, 'type'],
    ['another version', { type: 'engine_paused', version: 2, sequence: 1, atMs: 1 }, 'version'],
    ['a missing field', { type: 'engine_paused', version: 1, sequence: 1 }, 'atMs'],
    ['a foreign field', { type: 'engine_paused', version: 1, sequence: 1, atMs: 1, extra: 1 }, 'extra'],
    ['a broken id', { type: 'task_cancelled', version: 1, sequence: 1, atMs: 1, taskId: 'x' }, 'taskId'],
  ])('%s is refused by the name of its field', (_, stored, field) => {
    const authority = new TaskAuthority()
    expect(errorOf(() => authority.replay(toWire(stored)))).toMatchObject({ code: 'invalid_input', data: { field } })
    expect(authority.projection.latestSequence).toBe(0)
  })
})

describe('[T-31] values that no constructor would build', () => {
  const stored = (type: string, fields: object): JsonObject => ({
    type,
    version: 1,
    sequence: 1,
    atMs: 1,
    ...fields,
  })
  const policy = (runPolicy: object): JsonObject => stored('task_created', { taskSpec: { ...spec, runPolicy } })
  const constraints = (change: object): JsonObject =>
    stored('task_created', { taskSpec: { ...spec, constraints: { ...spec.constraints, ...change } } })
  const actor = { actorId: actorId(1), identity: 'a', capabilities: ['x'], heartbeatIntervalMs: 30 }

  it.each<[TaskErrorCode, JsonObject]>([
    ['invalid_task_id', stored('task_created', { taskSpec: { ...spec, id: nil } })],
    ['invalid_repeat_count', policy({ type: 'repeat', count: 0, intervalMs: 1 })],
    ['invalid_repeat_interval_ms', policy({ type: 'repeat', count: 1, intervalMs: 0 })],
    ['cron_policy_error', policy({ type: 'cron', expression: '* * * * * *' })],
    ['invalid_max_attempts', constraints({ maxAttempts: 0 })],
    ['zero_timeout', constraints({ timeoutMs: 0 })],
    ['empty_concurrency_key', constraints({ concurrencyKey: '' })],
    ['empty_capabilities', constraints({ requiredCapabilities: [] })],
    ['empty_capability_entry', constraints({ requiredCapabilities: [''] })],
    ['invalid_run_id', stored('task_created', { taskSpec: spec, runs: [{ id: nil, scheduledAtMs: 1 }] })],
    ['invalid_run_id', { type: 'run_created', version: 1, sequence: 1, runInstance: { ...run, id: nil } }],
    ['empty_lease_owner', stored('lease_acquired', { runId: R1, owner: '', expiresAtMs: 1 })],
    ['zero_limit', stored('budget_allocated', { taskId: T1, dimension: 'token', limit: 0 })],
    [
      'empty_custom_key',
      stored('subscription_created', {
        subscriptionId: S1,
        taskId: T1,
        filter: { type: 'custom', key: '' },
        rearm: false,
      }),
    ],
    ['empty_identity', stored('actor_registered', { ...actor, identity: '' })],
    ['empty_tenant_name', stored('tenant_created', { tenantId: tenantId(1), name: '' })],
  ])('are refused when read: %s', (code, event) => {
    const authority = new TaskAuthority()
    expect(errorOf(() => authority.replay(toWire(event)))).toMatchObject({ code })
    expect(authority.projection.latestSequence).toBe(0)
  })
})

describe('tasks and runs', () => {
  it('[T-37] a run is created scheduled, once, and for a known task', () => {
    const log = replay()
    log.refuses('run_created', { runInstance: run }, 'replay_task_unknown', { taskId: T1 })
    log.take('task_created', { taskSpec: spec, atMs: 100 })
    log.refuses('run_created', { runInstance: { ...run, state: 'ready' } }, 'replay_invalid_transition', { runId: R1 })
    log.take('run_created', { runInstance: run })
    log.refuses('run_created', { runInstance: run }, 'replay_duplicate_event', { id: R1 })
  })

  it('[T-37] a run that a task begins with is created once', () => {
    const log = replay()
    const other = createTaskSpec({ id: T2, kind: 'work' })
    log.take('task_created', { taskSpec: spec, runs: [{ id: R1, scheduledAtMs: 100 }], atMs: 100 })
    const again = errorOf(() =>
      log.take('task_created', { taskSpec: other, runs: [{ id: R1, scheduledAtMs: 100 }], atMs: 100 }),
    )
    expect(again).toMatchObject({ code: 'replay_duplicate_event', data: { sequence: 2, id: R1 } })
  })

  it('[T-38] a run may be cancelled by an event that no command writes, unless it has ended', () => {
    for (const state of ['scheduled', 'ready', 'leased', 'running', 'retry_wait', 'suspended'] as const) {
      const log = withRun(state)
      log.take('run_cancelled', { runId: R1, atMs: 130 })
      expect(log.authority.projection.run(R1)?.history.at(-1)).toEqual({ from: state, to: 'cancelled', atMs: 130 })
    }
    for (const state of ['completed', 'failed', 'cancelled'] as const) {
      withRun(state).refuses('run_cancelled', { runId: R1, atMs: 130 }, 'replay_invalid_transition', { runId: R1 })
    }
    replay().refuses('run_cancelled', { runId: R1, atMs: 130 }, 'replay_invalid_transition', { runId: R1 })
  })

  it('[T-39] a second cancel of a task names both times', () => {
    const log = withRun('ready')
    log.refuses('task_cancelled', { taskId: T2, atMs: 1 }, 'replay_task_unknown', { taskId: T2 })
    log.take('task_cancelled', { taskId: T1, atMs: 200 })
    log.refuses('task_cancelled', { taskId: T1, atMs: 300 }, 'replay_task_already_cancelled', {
      taskId: T1,
      firstCancelledAtMs: 200,
      duplicateCancelledAtMs: 300,
    })
  })

  it('[T-156] an edge that is no edge, or starts elsewhere, is refused', () => {
    const change = { runId: R1, atMs: 1 }
    const log = withRun('ready')
    log.refuses(
      'run_state_changed',
      { ...change, previousState: 'ready', newState: 'running' },
      'replay_invalid_transition',
      { runId: R1 },
    )
    log.refuses(
      'run_state_changed',
      { ...change, previousState: 'leased', newState: 'running' },
      'replay_invalid_transition',
      { runId: R1 },
    )
    log.refuses(
      'run_state_changed',
      { ...change, previousState: 'ready', newState: 'scheduled' },
      'replay_invalid_transition',
      { runId: R1 },
    )
    withRun('leased').refuses(
      'run_state_changed',
      { ...change, previousState: 'ready', newState: 'running' },
      'replay_invalid_transition',
      { runId: R1 },
    )
    log.refuses('run_suspended', change, 'replay_invalid_transition', { runId: R1 })
    log.refuses('run_resumed', change, 'replay_invalid_transition', { runId: R1 })
  })
})

describe('attempts', () => {
  const attempt = { runId: R1, attemptId: A1, atMs: 120 }

  it('[T-40] count on start, clear on finish, and refuse what does not pair', () => {
    const log = withRun('running')
    log.refuses('attempt_finished', { ...attempt, result: 'success' }, 'replay_invalid_transition', { runId: R1 })
    log.take('attempt_started', attempt)
    expect(log.authority.projection.run(R1)).toMatchObject({ attemptCount: 1, currentAttemptId: A1 })
    log.refuses('attempt_started', { ...attempt, attemptId: A2 }, 'replay_invalid_transition', { runId: R1 })
    log.refuses('attempt_finished', { ...attempt, attemptId: A2, result: 'success' }, 'replay_invalid_transition', {
      runId: R1,
    })
    log.refuses(
      'run_state_changed',
      { runId: R1, previousState: 'running', newState: 'completed', atMs: 1 },
      'replay_invalid_transition',
      { runId: R1 },
    )
    log.take('attempt_finished', { ...attempt, result: 'success' })
    expect(log.authority.projection.run(R1)).not.toHaveProperty('currentAttemptId')
    log.refuses('attempt_started', attempt, 'replay_invalid_transition', { runId: R1 })
  })

  it('[T-156] an outcome whose parts contradict each other is refused, not repaired', () => {
    const log = withRun('running')
    log.take('attempt_started', attempt)
    expect(errorOf(() => log.take('attempt_finished', { ...attempt, result: 'failure' }))).toMatchObject({
      code: 'non_success_without_error',
    })
    expect(log.authority.projection.run(R1)?.currentAttemptId).toBe(A1)
  })

  it('[T-44] an attempt under way is under way again', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, [...reach.running, start()])
    tasks.store.crash()
    const { authority } = await openTasks(tasks.store)
    expect(authority.projection.run(R1)).toMatchObject({ state: 'running', currentAttemptId: A1, attemptCount: 1 })
  })
})

describe('leases', () => {
  it('[T-41] are taken in ready and leased only', () => {
    for (const state of ['ready', 'leased'] as const) withRun(state).take('lease_acquired', leaseFields)
    for (const state of ['scheduled', 'running', 'retry_wait', 'suspended', 'completed'] as const) {
      withRun(state).refuses('lease_acquired', leaseFields, 'replay_lease_causality', {
        runId: R1,
        event: 'acquire',
        cause: 'invalid_run_state',
      })
    }
  })

  it('[T-156] say why they are refused', () => {
    const log = withRun('leased')
    const because = (event: string, cause: string) => ({ runId: R1, event, cause })
    log.refuses('lease_heartbeat', leaseFields, 'replay_lease_causality', because('heartbeat', 'missing_active_lease'))
    log.refuses('lease_acquired', { ...leaseFields, runId: R2 }, 'replay_lease_causality', {
      runId: R2,
      event: 'acquire',
      cause: 'unknown_run',
    })
    log.take('lease_acquired', leaseFields)
    log.refuses('lease_acquired', leaseFields, 'replay_lease_causality', because('acquire', 'lease_already_active'))
    log.refuses(
      'lease_heartbeat',
      { ...leaseFields, owner: 'other' },
      'replay_lease_causality',
      because('heartbeat', 'owner_mismatch'),
    )
    log.refuses(
      'lease_heartbeat',
      { ...leaseFields, expiresAtMs: 4999 },
      'replay_lease_causality',
      because('heartbeat', 'non_monotonic_heartbeat_expiry'),
    )
    log.refuses(
      'lease_released',
      { ...leaseFields, expiresAtMs: 4999 },
      'replay_lease_causality',
      because('release', 'expiry_mismatch'),
    )
    log.refuses(
      'lease_expired',
      { ...leaseFields, owner: 'other' },
      'replay_lease_causality',
      because('expire', 'owner_mismatch'),
    )
  })

  it('[T-42] after an expiry a second owner leases and starts, as attempt number one', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, [
      ...held,
      lease('lease_expire'),
      move('ready', 'leased'),
      lease('lease_acquire', { owner: 'second', expiresAtMs: 9000 }),
      move('leased', 'running', { fencingToken: 8 }),
      start(A2, { fencingToken: 8 }),
    ])
    const { authority } = await reopenTasks(tasks)
    expect(authority.projection.run(R1)).toMatchObject({
      state: 'running',
      attemptCount: 1,
      lease: { owner: 'second', expiresAtMs: 9000, fencingToken: 8 },
    })
  })
})

describe('the engine', () => {
  it('[T-46] refuses duplicates in replay and remembers its times', () => {
    const log = replay()
    log.refuses('engine_resumed', { atMs: 5 }, 'replay_not_paused', { attemptedResumedAtMs: 5 })
    log.take('engine_paused', { atMs: 10 })
    log.refuses('engine_paused', { atMs: 11 }, 'replay_already_paused', {
      firstPausedAtMs: 10,
      duplicatePausedAtMs: 11,
    })
    log.refuses('engine_resumed', { atMs: 9 }, 'replay_resume_before_pause', { pausedAtMs: 10, resumedAtMs: 9 })
    log.take('engine_resumed', { atMs: 12 })
    expect(log.authority.projection.engine).toEqual({ paused: false, pausedAtMs: 10, resumedAtMs: 12 })
  })
})

describe('events about something that is not there', () => {
  it.each<[EventType, object]>([
    ['budget_consumed', { taskId: T1, dimension: 'token', amount: 5 }],
    ['budget_exhausted', { taskId: T1, dimension: 'token' }],
    ['budget_replenished', { taskId: T1, dimension: 'token', newLimit: 5 }],
    ['budget_settled', { reservationId: reservationId(1), amount: 5 }],
    ['budget_released', { reservationId: reservationId(1) }],
    ['subscription_triggered', { subscriptionId: S1 }],
    ['subscription_consumed', { subscriptionId: S1 }],
    ['subscription_cancelled', { subscriptionId: S1 }],
    ['actor_deregistered', { actorId: actorId(1) }],
    ['actor_heartbeat', { actorId: actorId(1) }],
    ['capability_revoked', { actorId: actorId(1), tenantId: tenantId(1), capability: { type: 'can_submit' } }],
  ])('%s changes nothing but the sequence', (type, payload) => {
    const log = withRun('ready')
    const before = [...log.authority.capture()].slice(1)
    log.take(type, { atMs: 1, ...payload })
    expect([...log.authority.capture()].slice(1)).toEqual(before)
    expect(log.authority.projection.latestSequence).toBe(4)
  })
})

describe('a whole log', () => {
  const commands: readonly TaskCommand[] = [
    ...reach.running,
    start(),
    finish(A1, { result: 'failure', error: 'once more', failureClass: 'retryable' }),
    move('running', 'retry_wait', { retryAtMs: 400 }),
    move('retry_wait', 'ready'),
    taskCreate(T2),
    runCreate(R2, T2, { scheduledAtMs: 10_000 }),
    depend(T2, T1),
    allocate(100),
    consume(60),
    subscribe(S1, { type: 'custom', key: 'go' }),
    { type: 'subscription_trigger', subscriptionId: S1, atMs: 1 },
    subscribe(S2, { type: 'task_completed', taskId: T1 }, { rearm: true }),
    { type: 'subscription_cancel', subscriptionId: S2, atMs: 1 },
    { type: 'engine_pause', atMs: 700 },
  ]

  it('[T-24, T-47, T-48] replays to the live state, twice', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, commands)
    const live = stateOf(tasks)
    const once = await reopenTasks(tasks)
    expect(stateOf(once)).toEqual(live)
    const twice = await reopenTasks(once)
    expect(stateOf(twice)).toEqual(live)
    expect(twice.authority.projection.latestSequence).toBe(commands.length)
    expect(twice.authority.projection.dependencyGate(T2)).toBe('waiting')
  })

  it('[T-95] keeps the lineage of a run: its attempts, their errors and their output', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, [
      ...commands.slice(0, 9),
      move('ready', 'leased'),
      move('leased', 'running'),
      start(A2),
      finish(A2, { result: 'success', output: 'b2s=' as never }),
    ])
    const { authority } = await reopenTasks(tasks)
    expect(authority.projection.run(R1)?.attempts).toEqual([
      {
        attemptId: A1,
        startedAtMs: 120,
        finishedAtMs: 130,
        outcome: { result: 'failure', error: 'once more', failureClass: 'retryable' },
      },
      { attemptId: A2, startedAtMs: 120, finishedAtMs: 130, outcome: { result: 'success', output: 'b2s=' } },
    ])
  })

  it('[T-49] a completed run stays completed, and nothing is added', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.completed)
    const { authority } = await reopenTasks(tasks)
    expect(authority.projection.runsOf(T1).map(({ id, state }) => [id, state])).toEqual([[R1, 'completed']])
  })

  it('[T-38] events of the two names that no command writes are taken', () => {
    const log = withRun('ready')
    log.take('budget_allocated', { taskId: T1, dimension: 'token' as never, limit: 5, atMs: 1 })
    log.take('budget_exhausted', { taskId: T1, dimension: 'token' as never, atMs: 1 })
    expect(log.authority.projection.isBudgetExhausted(T1)).toBe(true)
  })

  it('a budget that a log calls exhausted stays so, whatever is spent or given back, until it is replenished', () => {
    const log = withRun('ready')
    const ofBudget = { taskId: T1, dimension: 'token' as never, atMs: 1 } as const
    log.take('budget_allocated', { ...ofBudget, limit: 5 })
    log.take('budget_reserved', { ...ofBudget, reservationId: reservationId(1), amount: 2 })
    log.take('budget_exhausted', ofBudget)
    log.take('budget_consumed', { ...ofBudget, amount: 1 })
    log.take('budget_released', { reservationId: reservationId(1), atMs: 1 })
    expect(log.authority.projection.isBudgetExhausted(T1)).toBe(true)
    log.take('budget_replenished', { ...ofBudget, newLimit: 6 })
    expect(log.authority.projection.isBudgetExhausted(T1)).toBe(false)
  })
})
