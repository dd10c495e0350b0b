import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/base/json.js'
import { Lane } from '../../src/lane/lane.js'
import {
  budgetDimension,
  createRun,
  failed,
  isTerminalRunState,
  succeeded,
  suspended,
  TaskAuthority,
  type CommandOf,
  type CommandType,
  type Run,
  type TaskBatch,
  type TaskCommand,
} from '../../src/tasks/index.js'
import { taskCatalogue } from '../../src/tasks/catalogue.js'
import { openTasks, reopenTasks, stateOf, submitAll } from './support/authority.js'
import {
  allocate,
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
import { A1, A2, attemptId, R1, R2, reservationId, runId, S1, subscriptionId, T1, taskId } from './support/ids.js'
import { given } from './support/specification.js'
import { fromWire } from './support/wire.js'

type Begin = CommandOf<'attempt_begin'>
type End = CommandOf<'attempt_end'>

const begin = (rest: Partial<Begin> = {}): Begin => ({
  type: 'attempt_begin',
  runId: R1,
  attemptId: A1,
  owner: 'worker',
  expiresAtMs: 5000,
  atMs: 120,
  ...rest,
})

const end = (rest: Partial<End> = {}): End => ({
  type: 'attempt_end',
  runId: R1,
  attemptId: A1,
  outcome: succeeded(),
  newState: 'completed',
  atMs: 130,
  ...rest,
})

describe('attempt_begin', () => {
  it('is one event that claims and starts, and its sequence is the fencing token', async () => {
    await given(reach.ready, allocate(10))
      .when(begin({ reservations: [{ reservationId: reservationId(1), dimension: token, amount: 4 }] }))
      .accepts({
        event: {
          type: 'attempt_begun',
          runId: R1,
          attemptId: A1,
          owner: 'worker',
          expiresAtMs: 5000,
          reservations: [{ reservationId: reservationId(1), dimension: 'token', amount: 4 }],
          atMs: 120,
        },
        applied: { type: 'attempt_begin', runId: R1, taskId: T1, attemptId: A1, fencingToken: 5 },
        then: (projection) => {
          expect(projection.run(R1)).toMatchObject({
            state: 'running',
            currentAttemptId: A1,
            lease: { owner: 'worker', expiresAtMs: 5000, fencingToken: 5 },
          })
          expect(projection.run(R1)?.history.map(({ to }) => to)).toEqual(['scheduled', 'ready', 'leased', 'running'])
          expect(projection.budget(T1, token)).toMatchObject({ reserved: 4, consumed: 0 })
          expect([...projection.reservationsOf(R1)]).toHaveLength(1)
        },
      })
  })

  it('[T-900] makes a scheduled run ready as well, if it says so', async () => {
    await given(reach.scheduled)
      .when(begin({ previousState: 'scheduled' }))
      .accepts({
        applied: { type: 'attempt_begin', runId: R1, taskId: T1, attemptId: A1, fencingToken: 3 },
        then: (projection) => {
          expect(projection.run(R1)?.history.map(({ to, atMs }) => [to, atMs])).toEqual([
            ['scheduled', 100],
            ['ready', 120],
            ['leased', 120],
            ['running', 120],
          ])
        },
      })
    await given(reach.scheduled)
      .when(begin())
      .refuses('previous_state_mismatch', { runId: R1, expected: 'ready', actual: 'scheduled' })
    await given(reach.ready)
      .when(begin({ previousState: 'scheduled' }))
      .refuses('previous_state_mismatch', { runId: R1, expected: 'scheduled', actual: 'ready' })
  })

  it('[T-900] is not replayed from another state than it says, even where the chart has an edge to ready', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, [...reach.ready, begin(), end({ fencingToken: 4, newState: 'retry_wait', retryAtMs: 500 })])
    const { type: _, ...payload } = begin({ attemptId: A2, previousState: 'scheduled' })
    const stored = taskCatalogue.encode({ type: 'attempt_begun', version: 1, sequence: 6, ...payload })
    expect(() => tasks.authority.replay(stored)).toThrow(expect.objectContaining({ code: 'replay_invalid_transition' }))
  })

  it('is refused as the first of its moves is', async () => {
    await given().when(begin()).refuses('unknown_run', { runId: R1 })
    await given(reach.leased)
      .when(begin())
      .refuses('previous_state_mismatch', { runId: R1, expected: 'ready', actual: 'leased' })
    const reservations = [1, 2].map((number) => ({ reservationId: reservationId(number), dimension: token, amount: 6 }))
    await given(reach.ready, allocate(10))
      .when(begin({ reservations }))
      .refuses('budget_exceeded', { taskId: T1, dimension: token, limit: 10, consumed: 0, reserved: 6, amount: 6 })
    await given(reach.ready, { type: 'task_cancel', taskId: T1, atMs: 111 })
      .when(begin())
      .refuses('run_of_cancelled_task', { runId: R1, taskId: T1 })
    await given(reach.ready)
      .when(begin({ owner: '' }))
      .refuses('empty_lease_owner', {})
  })
})

describe('attempt_end', () => {
  const fencingToken = 5

  it('is one event that finishes, releases, settles, moves on, creates and triggers', async () => {
    const next = createRun({ id: R2, taskId: T1, createdAtMs: 130, scheduledAtMs: 900 })
    await given(
      reach.ready,
      begin(),
      allocate(10),
      { type: 'budget_reserve', reservationId: reservationId(1), taskId: T1, dimension: token, amount: 4, atMs: 121 },
      subscribe(S1, { type: 'task_completed', taskId: T1 }),
    )
      .when(
        end({
          // The fourth command was the begin.
          fencingToken: 4,
          settlements: [{ reservationId: reservationId(1), amount: 3 }],
          consumptions: [{ dimension: token, amount: 2 }],
          runs: [next],
          triggers: [S1],
        }),
      )
      .accepts({
        applied: { type: 'attempt_end', runId: R1, attemptId: A1, newState: 'completed' },
        then: (projection) => {
          expect(projection.run(R1)).toMatchObject({
            state: 'completed',
            attempts: [{ outcome: { result: 'success' } }],
          })
          expect(projection.run(R1)?.lease).toBeUndefined()
          expect(projection.run(R2)?.state).toBe('scheduled')
          expect(projection.task(T1)?.progress).toMatchObject({ runs: 2, open: 1, completed: 1 })
          expect(projection.budget(T1, token)).toMatchObject({ reserved: 0, consumed: 5 })
          expect(projection.subscription(S1)?.pendingTriggers).toBe(1)
        },
      })
  })

  it('shows the state it passes when it suspends and goes on at once', async () => {
    await given(reach.ready, begin())
      .when(end({ fencingToken: 4, outcome: suspended(), newState: 'suspended', reason: 'budget', resume: true }))
      .accepts({
        then: (projection) => {
          expect(projection.run(R1)?.state).toBe('ready')
          expect(projection.run(R1)?.history.slice(-2)).toEqual([
            { from: 'running', to: 'suspended', atMs: 130, reason: 'budget' },
            { from: 'suspended', to: 'ready', atMs: 130 },
          ])
        },
      })
  })

  it('is refused as the first of its moves is', async () => {
    await given().when(end()).refuses('attempt_finish_unknown_run', { runId: R1 })
    await given(working).when(end()).refuses('fencing_token_required', { runId: R1 })
    await given(working)
      .when(end({ fencingToken, settlements: [{ reservationId: reservationId(9), amount: 1 }] }))
      .refuses('unknown_reservation', { reservationId: reservationId(9) })
    await given(working)
      .when(end({ fencingToken, triggers: [S1] }))
      .refuses('unknown_subscription', { subscriptionId: S1 })
  })

  it.each([
    [{ retryAtMs: 9 }, 'retryAtMs'],
    [{ reason: 'x' }, 'reason'],
    [{ resume: true }, 'resume'],
  ])('names a field that does not go with its state: %j', async (rest, field) => {
    await given(working)
      .when(end({ fencingToken, ...rest }))
      .isInvalid(field)
  })
})

it('tells of the run and the task that have ended, once', async () => {
  const tasks = await openTasks()
  const ended: unknown[] = []
  tasks.authority.onCommit((commit) => ended.push(commit.ended))
  await submitAll(tasks, [
    ...reach.ready,
    begin(),
    end({ fencingToken: 4 }),
    { type: 'task_cancel', taskId: T1, atMs: 140 },
  ])
  const nothing = { runs: [], tasks: [] }
  expect(ended).toEqual([nothing, nothing, nothing, nothing, { runs: [R1], tasks: [T1] }, nothing])
  await tasks.lane.compact()
  const reopened = await reopenTasks(tasks)
  const later: unknown[] = []
  reopened.authority.onCommit((commit) => later.push(commit.ended))
  await submitAll(reopened, [{ type: 'engine_pause', atMs: 150 }])
  expect(later).toEqual([nothing])
})

/** The commands whose work a composite does, submitted one after another to a batch. */
function submitMoves(batch: TaskBatch, command: Begin | End): void {
  const { runId: id, atMs } = command
  const ofRun = { runId: id, atMs }
  if (command.type === 'attempt_begin') {
    const { attemptId: attempt, previousState, owner, expiresAtMs, reservations = [] } = command
    const known = batch.view.run(id)
    for (const item of known === undefined ? [] : reservations) {
      batch.submit({ type: 'budget_reserve', ...item, ...ofRun, taskId: known?.taskId ?? T1 })
    }
    if (previousState !== undefined) {
      batch.submit({ type: 'run_state_transition', ...ofRun, previousState, newState: 'ready' })
    }
    batch.submit({ type: 'run_state_transition', ...ofRun, previousState: 'ready', newState: 'leased' })
    const { fencingToken } = batch.submit({ type: 'lease_acquire', ...ofRun, owner, expiresAtMs }).applied
    batch.submit({ type: 'run_state_transition', ...ofRun, previousState: 'leased', newState: 'running', fencingToken })
    batch.submit({ type: 'attempt_start', ...ofRun, attemptId: attempt, fencingToken })
    return
  }
  const {
    attemptId: attempt,
    outcome,
    fencingToken,
    settlements = [],
    consumptions = [],
    newState,
    retryAtMs,
  } = command
  const { reason, resume, runs = [], triggers = [] } = command
  const fence = fencingToken === undefined ? {} : { fencingToken }
  batch.submit({ type: 'attempt_finish', ...ofRun, ...fence, attemptId: attempt, outcome })
  const { taskId: task, lease: held } = batch.view.run(id) as Run
  if (held !== undefined) {
    const { owner, expiresAtMs } = held
    batch.submit({ type: 'lease_release', ...ofRun, ...fence, owner, expiresAtMs })
  }
  for (const settlement of settlements) batch.submit({ type: 'budget_settle', ...settlement, atMs })
  for (const consumption of consumptions) batch.submit({ type: 'budget_consume', taskId: task, ...consumption, atMs })
  if (newState === 'suspended') {
    batch.submit({ type: 'run_suspend', ...ofRun, ...(reason !== undefined && { reason }) })
  } else {
    const retry = retryAtMs === undefined ? {} : { retryAtMs }
    batch.submit({ type: 'run_state_transition', ...ofRun, previousState: 'running', newState, ...retry })
  }
  for (const runInstance of runs) batch.submit({ type: 'run_create', runInstance })
  if (resume === true) batch.submit({ type: 'run_resume', ...ofRun })
  for (const subscription of triggers) {
    batch.submit({ type: 'subscription_trigger', subscriptionId: subscription, atMs })
  }
}

describe('composites and the commands of their moves', () => {
  const small = (length: number) => fc.integer({ min: 1, max: length })
  const time = instant()
  const dimension = fc.constantFrom(token, budgetDimension('time:ms'))
  const list = <Item>(item: fc.Arbitrary<Item>) => fc.option(fc.array(item, { maxLength: 3 }), { nil: undefined })
  const outcome = fc.constantFrom(succeeded(), suspended(), failed('broken', 'retryable'))
  const newRun = fc
    .tuple(small(6), small(2), time)
    .map(([run, task, at]) => createRun({ id: runId(run), taskId: taskId(task), createdAtMs: at, scheduledAtMs: at }))

  /** The numbers are made sensible, most of the time, when it is known what the state is. */
  interface Step {
    readonly command: TaskCommand
    readonly isSensible: boolean
  }
  const beginCommand: fc.Arbitrary<TaskCommand> = fc
    .record({
      run: small(4),
      attempt: small(8),
      isScheduled: fc.boolean(),
      owner: fc.constantFrom('one', 'other'),
      atMs: time,
      reservations: list(fc.record({ reservationId: small(4).map(reservationId), dimension, amount: small(6) })),
    })
    .map(({ run, attempt, isScheduled, reservations, ...rest }) =>
      begin({
        ...rest,
        ...(isScheduled && { previousState: 'scheduled' }),
        runId: runId(run),
        attemptId: attemptId(attempt),
        ...(reservations !== undefined && { reservations }),
      }),
    )
  const endCommand: fc.Arbitrary<TaskCommand> = fc
    .record({
      run: small(4),
      outcome,
      newState: fc.constantFrom('completed', 'failed', 'retry_wait', 'suspended'),
      resume: fc.boolean(),
      reason: fc.constantFrom(undefined, 'budget'),
      atMs: time,
      settlements: list(fc.record({ reservationId: small(4).map(reservationId), amount: fc.nat(9) })),
      consumptions: list(fc.record({ dimension, amount: small(4) })),
      runs: list(newRun),
      triggers: list(small(2).map(subscriptionId)),
    })
    .map(({ run, resume, reason, newState, settlements, consumptions, runs, triggers, ...rest }) =>
      end({
        ...rest,
        newState,
        runId: runId(run),
        ...(newState === 'suspended' && { resume, ...(reason !== undefined && { reason }) }),
        ...(newState === 'retry_wait' && { retryAtMs: rest.atMs + 50 }),
        ...(settlements !== undefined && { settlements }),
        ...(consumptions !== undefined && { consumptions }),
        ...(runs !== undefined && { runs }),
        ...(triggers !== undefined && { triggers }),
      }),
    )
  const plain: fc.Arbitrary<TaskCommand> = fc.oneof(
    fc
      .tuple(small(4), fc.constantFrom('ready', 'leased', 'running', 'cancelled'), time)
      .map(([run, newState, atMs]) => move('scheduled', newState as 'ready', { runId: runId(run), atMs })),
    newRun.map((runInstance) => ({ type: 'run_create', runInstance }) as const),
    fc.tuple(small(4), time).map(([run, atMs]) => lease('lease_acquire', { runId: runId(run), atMs })),
    fc
      .tuple(small(4), small(8), time)
      .map(([run, attempt, atMs]) => start(attemptId(attempt), { runId: runId(run), atMs })),
    fc.tuple(small(2), time).map(([task, atMs]) => ({ type: 'task_cancel', taskId: taskId(task), atMs }) as const),
  )
  const steps: fc.Arbitrary<readonly Step[]> = fc.array(
    fc.record({
      command: fc.oneof(
        { weight: 4, arbitrary: beginCommand },
        { weight: 4, arbitrary: endCommand },
        { weight: 4, arbitrary: plain },
      ),
      isSensible: fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    }),
    { minLength: 10, maxLength: 50, size: 'max' },
  )

  const before: readonly TaskCommand[] = [
    taskCreate(taskId(1)),
    taskCreate(taskId(2), { parentTaskId: taskId(1), runPolicy: { type: 'repeat', count: 9, intervalMs: 10 } }),
    ...[1, 2, 3, 4].map((run) => runCreate(runId(run), taskId((run % 2) + 1))),
    ...[1, 2].map((run) => move('scheduled', 'ready', { runId: runId(run) })),
    allocate(9, taskId(1)),
    allocate(7, taskId(2)),
    subscribe(subscriptionId(1), { type: 'custom', key: 'k' }),
    subscribe(subscriptionId(2), { type: 'custom', key: 'k' }, { rearm: true, taskId: taskId(1) }),
  ]

  it('leave the same rows and are refused alike, in any mix, live, replayed and from a snapshot', async () => {
    const seen = new Set<string>()
    const property = fc.asyncProperty(steps, async (stream) => {
      const composed = await openMemory()
      const moved = await openMemory()
      const replica = new TaskAuthority()
      composed.onCommit(({ events }) => {
        for (const event of events)
          replica.replay(JSON.parse(JSON.stringify(taskCatalogue.encode(event))) as JsonObject)
      })
      for (const command of before) {
        await composed.submit<CommandType>(command)
        await moved.submit<CommandType>(command)
      }
      for (const { command, isSensible } of stream) {
        const forComposed = isSensible ? sensible(composed, command) : command
        const refusal = await refusalOf(composed.submit<CommandType>(forComposed))
        const forMoved = isSensible ? sensible(moved, command) : command
        const isComposite = forMoved.type === 'attempt_begin' || forMoved.type === 'attempt_end'
        const expected = await refusalOf(
          isComposite ? moved.transact((batch) => submitMoves(batch, forMoved)) : moved.submit<CommandType>(forMoved),
        )
        expect({ command, refusal }).toEqual({ command, refusal: expected })
        seen.add(refusal === undefined ? `${command.type} taken` : refusal.code)
        expect(rowsOf(composed)).toEqual(rowsOf(moved))
        expect([...replica.capture()]).toEqual([...composed.capture()])
      }
      const copy = new TaskAuthority()
      for (const row of composed.capture()) copy.restore(JSON.parse(JSON.stringify(row)) as JsonObject)
      expect([...copy.capture()]).toEqual([...composed.capture()])
    })
    await fc.assert(property, { numRuns: 40 })
    expect([...seen]).toEqual(expect.arrayContaining(['attempt_begin taken', 'attempt_end taken', 'budget_exceeded']))
    expect(seen.size).toBeGreaterThan(16)
  }, 30_000)

  async function openMemory(): Promise<TaskAuthority> {
    const authority = new TaskAuthority()
    authority.start(await Lane.open({ streamFor: () => authority }))
    return authority
  }

  /** The command with the token and the attempt that the run has now. */
  function sensible({ projection }: TaskAuthority, command: TaskCommand): TaskCommand {
    const run = 'runId' in command && command.runId !== undefined ? projection.run(command.runId) : undefined
    const fence = run?.lease === undefined ? {} : { fencingToken: run.lease.fencingToken }
    switch (command.type) {
      case 'attempt_end':
        return { ...command, ...fence, ...(run?.currentAttemptId !== undefined && { attemptId: run.currentAttemptId }) }
      case 'attempt_begin': {
        const { previousState: _, ...rest } = command
        const from = run?.state === 'scheduled' ? { previousState: run.state } : {}
        return { ...rest, ...from, attemptId: attemptId(100 + (run?.attemptCount ?? 0)) }
      }
      case 'attempt_start':
        return { ...command, ...fence }
      case 'run_state_transition':
        return run === undefined || isTerminalRunState(run.state)
          ? command
          : { ...command, ...fence, previousState: run.state }
      default:
        return command
    }
  }

  interface Refusal {
    readonly code: string
    readonly data: unknown
  }

  async function refusalOf(submitted: Promise<unknown>): Promise<Refusal | undefined> {
    return submitted.then(
      () => undefined,
      (reason: unknown) => {
        const { code, data } = reason as Refusal
        return { code, data: withoutTokens(data) }
      },
    )
  }

  /** Everything remembered but the numbers of the events, of which the moves need more. */
  function rowsOf(authority: TaskAuthority): unknown[] {
    const [, ...rows] = [...authority.capture()]
    return rows.map((row) => withoutTokens(fromWire(row)))
  }

  function withoutTokens(value: unknown): unknown {
    return JSON.parse(
      JSON.stringify(value, (name, part: unknown) =>
        ['fencingToken', 'provided', 'current', 'sequence', 'seq'].includes(name) ? 'a number' : part,
      ),
    )
  }

  function instant(): fc.Arbitrary<number> {
    return fc.integer({ min: 150, max: 300 })
  }
})

it('composites are replayed like the rest', async () => {
  const tasks = await openTasks()
  await submitAll(tasks, [...reach.ready, begin(), end({ fencingToken: 4, newState: 'retry_wait', retryAtMs: 500 })])
  const live = stateOf(tasks)
  const replayed = await reopenTasks(tasks)
  expect(stateOf(replayed)).toEqual(live)
  expect(replayed.authority.projection.nextRetryAtMs()).toBe(500)
  const refused = replayed.authority.submit(begin({ attemptId: A2 }))
  await expect(refused).rejects.toMatchObject({ code: 'previous_state_mismatch' })
})
