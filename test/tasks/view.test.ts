import { describe, expect, it } from 'vitest'
import { createRun, type Run, type RunId, type TaskCommand, type TaskId } from '../../src/tasks/index.js'
import { step } from '../../src/tasks/run.js'
import { openTasks, stateOf, submitAll } from './support/authority.js'
import { cancel, depend, held, lease, move, reach, runCreate, taskCreate } from './support/commands.js'
import { expectConsistentIndexes } from './support/indexes.js'
import { R1, R2, R3, runId, T1, T2, T3, taskId } from './support/ids.js'

async function after(...commands: readonly (TaskCommand | readonly TaskCommand[])[]) {
  const tasks = await openTasks()
  await submitAll(tasks, commands.flat())
  expectConsistentIndexes(tasks.authority.projection)
  return tasks
}

const idsOf = (runs: Iterable<Run>): RunId[] => [...runs].map(({ id }) => id)

/** A run of a task of its own that has ended in a state. */
function ended(task: TaskId, run: RunId, state: 'completed' | 'failed'): readonly TaskCommand[] {
  const path = ['scheduled', 'ready', 'leased', 'running', state] as const
  const moves = path.slice(1).map((to, index) => move(path[index] ?? 'scheduled', to, { runId: run }))
  return [taskCreate(task), runCreate(run, task), ...moves]
}

describe('queries by time', () => {
  it('[T-74, T-82] find scheduled runs at their second, earliest first, ties by id', async () => {
    const { authority } = await after(
      taskCreate(),
      runCreate(R3, T1, { scheduledAtMs: 500 }),
      runCreate(R2, T1, { scheduledAtMs: 500 }),
      runCreate(R1, T1, { scheduledAtMs: 600 }),
    )
    const { projection } = authority
    expect(idsOf(projection.dueScheduled(499))).toEqual([])
    expect(idsOf(projection.dueScheduled(500))).toEqual([R2, R3])
    expect(idsOf(projection.dueScheduled(600))).toEqual([R2, R3, R1])
    expect(projection.nextScheduledAtMs()).toBe(500)
    await submitAll({ authority }, [
      move('scheduled', 'ready', { runId: R2 }),
      move('scheduled', 'cancelled', { runId: R3 }),
    ])
    expect(projection.nextScheduledAtMs()).toBe(600)
  })

  it('[T-78] find waiting retries by their due time, or by when they began to wait', async () => {
    const second = ended(T2, R2, 'failed').slice(0, -1)
    const { authority } = await after(
      reach.running,
      move('running', 'retry_wait', { retryAtMs: 900_000 }),
      second,
      move('running', 'retry_wait', { runId: R2, atMs: 800_000 }),
    )
    expect(authority.projection.nextRetryAtMs()).toBe(800_000)
    expect(idsOf(authority.projection.dueRetries(899_999))).toEqual([R2])
    expect(idsOf(authority.projection.dueRetries(900_000))).toEqual([R2, R1])
  })

  it('[T-73] find a lease at exactly its expiry', async () => {
    const { authority } = await after(held)
    expect(idsOf(authority.projection.expiredLeases(4999))).toEqual([])
    expect(idsOf(authority.projection.expiredLeases(5000))).toEqual([R1])
    expect(authority.projection.nextLeaseExpiresAtMs()).toBe(5000)
    await authority.submit(lease('lease_release'))
    expect(authority.projection.nextLeaseExpiresAtMs()).toBeUndefined()
  })

  it('[T-76] order ready runs by priority, then age, then id, whatever order they came in', async () => {
    const runs = [
      { id: runId(1), priority: 0, createdAtMs: 50 },
      { id: runId(2), priority: 9, createdAtMs: 70 },
      { id: runId(3), priority: 0, createdAtMs: 60 },
      { id: runId(4), priority: 9, createdAtMs: 60 },
      { id: runId(5), priority: 9, createdAtMs: 60 },
      { id: runId(6), priority: -1, createdAtMs: 1 },
    ]
    for (const order of [runs, runs.toReversed()]) {
      const { authority } = await after(
        taskCreate(),
        order.map(({ id, priority, createdAtMs }) => runCreate(id, T1, { priority, createdAtMs })),
        order.map(({ id }) => move('scheduled', 'ready', { runId: id })),
      )
      expect(idsOf(authority.projection.ready())).toEqual([4, 5, 2, 1, 3, 6].map(runId))
    }
  })
})

describe('[T-92] the dependency gate', () => {
  const dependent = [taskCreate(T1), runCreate(R1, T1)]

  it('[T-194] opens when every prerequisite has ended with a completed run', async () => {
    const { authority } = await after(
      dependent,
      ended(T2, R2, 'completed').slice(0, -1),
      taskCreate(T3),
      depend(T1, T2),
    )
    const { projection } = authority
    expect(projection.dependencyGate(T1)).toBe('waiting')
    expect(idsOf(projection.dueScheduled(100_000))).toEqual([])
    expect(projection.nextScheduledAtMs()).toBeUndefined()
    expect(projection.countIn('scheduled')).toBe(1)
    await authority.submit(move('running', 'completed', { runId: R2 }))
    expect(projection.dependencyGate(T1)).toBe('open')
    expect(idsOf(projection.dueScheduled(100_000))).toEqual([R1])
    await authority.submit(depend(T1, T3))
    expect(projection.dependencyGate(T1)).toBe('waiting')
    expectConsistentIndexes(projection)
  })

  it('[T-194] waits while one of several runs is open, and is satisfied by one that completed', async () => {
    const { authority } = await after(dependent, ended(T2, R2, 'completed'), runCreate(R3, T2), depend(T1, T2))
    expect(authority.projection.dependencyGate(T1)).toBe('waiting')
    await authority.submit(move('scheduled', 'cancelled', { runId: R3 }))
    expect(authority.projection.dependencyGate(T1)).toBe('open')
  })

  it('[T-194] fails when a prerequisite ended without a completed run, or was cancelled without any', async () => {
    const failed = await after(dependent, ended(T2, R2, 'failed'), depend(T1, T2))
    expect(failed.authority.projection.dependencyGate(T1)).toBe('failed')
    const cancelled = await after(dependent, taskCreate(T2), depend(T1, T2), cancel(T2))
    expect(cancelled.authority.projection.dependencyGate(T1)).toBe('failed')
  })

  it('[T-194] closes again when a satisfied prerequisite gets another run', async () => {
    const { authority } = await after(dependent, ended(T2, R2, 'completed'), depend(T1, T2))
    expect(authority.projection.dependencyGate(T1)).toBe('open')
    await authority.submit(runCreate(R3, T2))
    expect(authority.projection.dependencyGate(T1)).toBe('waiting')
    expect(idsOf(authority.projection.dueScheduled(100_000))).toEqual([R3])
  })

  it('[T-92] keeps "may run" and "has completed" apart: a dependent of an open but unfinished task waits', async () => {
    const third = taskId(3)
    const { authority } = await after(
      dependent,
      ended(T2, R2, 'completed'),
      depend(T1, T2),
      taskCreate(third),
      depend(third, T1),
    )
    expect(authority.projection.dependencyGate(T1)).toBe('open')
    expect(authority.projection.dependencyGate(third)).toBe('waiting')
  })

  it('[T-154] keeps the runs of a cancelled task out of what is due', async () => {
    const { authority } = await after(dependent, cancel(T1))
    expect(idsOf(authority.projection.dueScheduled(100_000))).toEqual([])
  })
})

it('[T-162] cron tasks are listed until they are cancelled', async () => {
  const { authority } = await after(
    taskCreate(T1, { runPolicy: { type: 'cron', expression: '0 0 12 * * * *' } }),
    taskCreate(T2),
  )
  expect([...authority.projection.cronTasks()].map(({ spec }) => spec.id)).toEqual([T1])
  await authority.submit(cancel(T1))
  expect([...authority.projection.cronTasks()]).toEqual([])
})

it('[T-23] stepping a run as a value changes neither the log nor the projection', async () => {
  const tasks = await after(reach.scheduled)
  const before = stateOf(tasks)
  const run: Run = { ...createRun({ id: R2, taskId: T1, createdAtMs: 1, scheduledAtMs: 1 }), history: [], attempts: [] }
  expect(step(run, { type: 'to_ready' }, { atMs: 5 })).toMatchObject({ state: 'ready', lastStateChangeAtMs: 5 })
  expect(run.state).toBe('scheduled')
  expect(step(run, { type: 'to_running' }, { atMs: 5 })).toBeUndefined()
  expect(stateOf(tasks)).toEqual(before)
})

it('[T-27, T-33] the attempt counter does not wrap', () => {
  const run = createRun({ id: R1, taskId: T1, createdAtMs: 1, scheduledAtMs: 1 })
  const full: Run = { ...run, state: 'running', attemptCount: 4_294_967_295, history: [], attempts: [] }
  expect(step(full, { type: 'start_attempt', attemptId: 'a' as never }, { atMs: 5 })).toBeUndefined()
})

it('[T-153] readers cannot change the row they were given', async () => {
  const { authority } = await after(reach.scheduled)
  const [run, task] = [authority.projection.run(R1), authority.projection.task(T1)]
  const before = structuredClone({ run, task })
  for (const [row, name] of [
    [run, 'state'],
    [run?.history[0], 'state'],
    [task, 'spec'],
    [task?.spec, 'kind'],
    [task?.spec.constraints, 'maxAttempts'],
  ] as const) {
    expect([name, Reflect.set(row ?? {}, name, 'failed')]).toEqual([name, false])
  }
  expect({ run: authority.projection.run(R1), task: authority.projection.task(T1) }).toEqual(before)
})

it('[T-153] readers keep the row they were given', async () => {
  const { authority } = await after(reach.scheduled)
  const before = authority.projection.run(R1)
  await authority.submit(move('scheduled', 'ready'))
  expect(before?.state).toBe('scheduled')
  expect(before?.history).toHaveLength(1)
})
