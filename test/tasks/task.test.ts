import { describe, it, expect } from 'vitest'
import { createRun, createTaskSpec, type TaskId, type TaskSpec } from '../../src/tasks/index.js'
import { cancel, depend, move, reach, runCreate, taskCreate } from './support/commands.js'
import { A1, nil, R1, R2, T1, T2, T3, taskId } from './support/ids.js'
import { given } from './support/specification.js'

const spec = createTaskSpec({ id: T1, kind: 'work' })

describe('task_create', () => {
  it('[T-125] creates a task', () =>
    given()
      .when(taskCreate())
      .accepts({
        event: { type: 'task_created', taskSpec: spec, atMs: 100 },
        applied: { type: 'task_create', taskId: T1 },
        then: (projection) => {
          expect(projection.task(T1)).toEqual({
            spec,
            createdAtMs: 100,
            depth: 0,
            progress: { runs: 0, open: 0, completed: 0, failed: 0 },
          })
        },
      }))

  it('[T-125, T-128] creates the runs that the task begins with, with its priority', () => {
    const firstRuns = [
      { id: R1, scheduledAtMs: 100 },
      { id: R2, scheduledAtMs: 700 },
    ]
    const urgent = { metadata: { priority: 3 }, runPolicy: { type: 'repeat', count: 2, intervalMs: 600 } } as const
    return given()
      .when({ ...taskCreate(T1, urgent), runs: firstRuns })
      .accepts({
        event: {
          type: 'task_created',
          taskSpec: { ...spec, ...createTaskSpec({ ...spec, ...urgent }) },
          runs: firstRuns,
          atMs: 100,
        },
        then: (projection) => {
          expect(projection.task(T1)?.progress).toEqual({
            runs: 2,
            open: 2,
            completed: 0,
            failed: 0,
            lastScheduledAtMs: 700,
          })
          expect([...projection.dueScheduled(100)]).toEqual([
            {
              ...createRun({ id: R1, taskId: T1, createdAtMs: 100, scheduledAtMs: 100, priority: 3 }),
              history: [{ to: 'scheduled', atMs: 100 }],
              attempts: [],
            },
          ])
          expect(projection.nextScheduledAtMs()).toBe(100)
        },
      })
  })

  it('[T-125] refuses a run that exists, one named twice, and one without an id', async () => {
    const withRuns = (...ids: (typeof R1)[]) => ({
      ...taskCreate(T2),
      runs: ids.map((id) => ({ id, scheduledAtMs: 1 })),
    })
    await given(taskCreate(), runCreate()).when(withRuns(R2, R1)).refuses('run_already_exists', { runId: R1 })
    await given().when(withRuns(R2, R2)).refuses('run_already_exists', { runId: R2 })
    await given()
      .when(withRuns(nil as typeof R1))
      .refuses('invalid_run_id', { runId: nil as typeof R1 })
    await given()
      .when({ ...withRuns(), runs: [{ id: R1, scheduledAtMs: 1, state: 'ready' }] as never })
      .isInvalid('runs.0.state')
  })

  it('[T-125] refuses a task that exists', () =>
    given(taskCreate()).when(taskCreate()).refuses('task_already_exists', { taskId: T1 }))

  it('[T-27, T-127] refuses a spec that was not built by its constructor', async () => {
    const nilId = { ...spec, id: nil as TaskId }
    await given()
      .when({ type: 'task_create', taskSpec: nilId, atMs: 1 })
      .refuses('invalid_task_id', { taskId: nilId.id })
    const noAttempts = { ...spec, constraints: { ...spec.constraints, maxAttempts: 0 } }
    await given()
      .when({ type: 'task_create', taskSpec: noAttempts, atMs: 1 })
      .refuses('invalid_max_attempts', { maxAttempts: 0 })
  })

  it('[T-118] names the field of a malformed spec', async () => {
    const broken = { ...spec, metadata: { ...spec.metadata, priority: 1.5 } }
    await given().when({ type: 'task_create', taskSpec: broken, atMs: 1 }).isInvalid('taskSpec.metadata.priority')
    const unknown = { ...spec, extra: true } as TaskSpec
    await given().when({ type: 'task_create', taskSpec: unknown, atMs: 1 }).isInvalid('taskSpec.extra')
    await given().when({ type: 'task_create', taskSpec: spec, atMs: -1 }).isInvalid('atMs')
  })

  it('[T-126] refuses a child of an unknown, cancelled or finished parent', async () => {
    const child = taskCreate(T2, { parentTaskId: T1 })
    const data = { taskId: T2, parentTaskId: T1 }
    await given().when(child).refuses('orphan_prevention', data)
    await given(taskCreate(), cancel()).when(child).refuses('orphan_prevention', data)
    await given(reach.completed).when(child).refuses('orphan_prevention', data)
    await given(reach.running)
      .when(child)
      .accepts({
        then: (projection) => {
          expect(projection.task(T2)?.depth).toBe(1)
          expect([...projection.children(T1)]).toEqual([T2])
        },
      })
  })

  it('[T-125] refuses a child deeper than eight', () => {
    const chain = Array.from({ length: 9 }, (_, depth) =>
      taskCreate(
        taskId(depth),
        depth === 0 ? { id: taskId(100) } : { parentTaskId: taskId(depth === 1 ? 100 : depth - 1) },
      ),
    )
    return given(chain)
      .when(taskCreate(taskId(9), { parentTaskId: taskId(8) }))
      .refuses('depth_limit_exceeded', { depth: 9, limit: 8 })
  })
})

describe('run_create', () => {
  it('[T-128] creates a scheduled run that carries the task priority it was given', () =>
    given(taskCreate())
      .when(runCreate(R1, T1, { priority: 7 }))
      .accepts({
        event: {
          type: 'run_created',
          runInstance: {
            id: R1,
            taskId: T1,
            state: 'scheduled',
            attemptCount: 0,
            createdAtMs: 100,
            scheduledAtMs: 100,
            effectivePriority: 7,
            lastStateChangeAtMs: 100,
          },
        },
        applied: { type: 'run_create', runId: R1, taskId: T1 },
        then: (projection) => {
          expect(projection.run(R1)?.history).toEqual([{ to: 'scheduled', atMs: 100 }])
          expect(projection.task(T1)?.progress).toEqual({ runs: 1, open: 1, completed: 0, failed: 0 })
        },
      }))

  it('[T-127] refuses in this order: task, run, state', async () => {
    const ready = { ...createRun({ id: R1, taskId: T1, createdAtMs: 1, scheduledAtMs: 1 }), state: 'ready' as const }
    await given().when({ type: 'run_create', runInstance: ready }).refuses('unknown_task', { taskId: T1 })
    await given(reach.scheduled)
      .when({ type: 'run_create', runInstance: ready })
      .refuses('run_already_exists', { runId: R1 })
    await given(taskCreate())
      .when({ type: 'run_create', runInstance: ready })
      .refuses('run_create_requires_scheduled', { runId: R1, state: 'ready' })
  })

  it('[T-27, T-127] refuses a run of a cancelled task', () =>
    given(taskCreate(), cancel()).when(runCreate()).refuses('task_already_cancelled', { taskId: T1 }))

  it('[T-27, T-127] refuses a run that has a past or a nil id', async () => {
    const fresh = createRun({ id: R1, taskId: T1, createdAtMs: 1, scheduledAtMs: 1 })
    for (const past of [{ attemptCount: 1 }, { currentAttemptId: A1 }, { lastStateChangeAtMs: 2 }]) {
      await given(taskCreate())
        .when({ type: 'run_create', runInstance: { ...fresh, ...past } })
        .refuses('run_create_requires_unstarted', { runId: R1, attemptCount: past.attemptCount ?? 0 })
    }
    await given(taskCreate())
      .when({ type: 'run_create', runInstance: { ...fresh, id: nil as typeof R1 } })
      .refuses('invalid_run_id', { runId: nil as typeof R1 })
  })
})

describe('task_cancel', () => {
  it('[T-10] marks the task with the timestamp of the command', () =>
    given(taskCreate())
      .when(cancel(T1, 777))
      .accepts({
        event: { type: 'task_cancelled', taskId: T1, atMs: 777 },
        applied: { type: 'task_cancel', taskId: T1 },
        then: (projection) => expect(projection.task(T1)?.cancelledAtMs).toBe(777),
      }))

  it('[T-10] refuses an unknown task and a second cancel', async () => {
    await given().when(cancel()).refuses('unknown_task', { taskId: T1 })
    await given(taskCreate(), cancel()).when(cancel()).refuses('task_already_cancelled', { taskId: T1 })
  })

  it('[T-10] refuses to cancel before the task was created, which no snapshot could hold', () =>
    given(taskCreate())
      .when(cancel(T1, 99))
      .refuses('cancel_before_create', { taskId: T1, createdAtMs: 100, cancelledAtMs: 99 }))

  it('[T-100] leaves nothing of the task startable, and everything cancelable', async () => {
    const refused = { runId: R1, taskId: T1 }
    const cancelled = { type: 'run_resume', runId: R1, atMs: 150 } as const
    await given(reach.scheduled, cancel()).when(move('scheduled', 'ready')).refuses('run_of_cancelled_task', refused)
    await given(reach.ready, cancel()).when(move('ready', 'leased')).refuses('run_of_cancelled_task', refused)
    await given(reach.leased, cancel()).when(move('leased', 'running')).refuses('run_of_cancelled_task', refused)
    await given(reach.retry_wait, cancel()).when(move('retry_wait', 'ready')).refuses('run_of_cancelled_task', refused)
    await given(reach.suspended, cancel()).when(cancelled).refuses('run_of_cancelled_task', refused)
    for (const state of ['scheduled', 'ready', 'leased', 'running', 'retry_wait', 'suspended'] as const) {
      await given(reach[state], cancel()).when(move(state, 'cancelled')).accepts()
    }
  })
})

describe('dependency_declare', () => {
  const three = [taskCreate(T1), taskCreate(T2), taskCreate(T3)]

  it('[T-132] adds prerequisites to a set', () =>
    given(three, depend(T1, T2))
      .when(depend(T1, T3, T2))
      .accepts({
        event: { type: 'dependency_declared', taskId: T1, dependsOn: [T3, T2], atMs: 105 },
        applied: { type: 'dependency_declare', taskId: T1, dependsOn: [T3, T2] },
        then: (projection) => {
          expect(projection.prerequisites(T1)).toEqual([T2, T3])
          expect([...projection.dependents(T2)]).toEqual([T1])
          expect(projection.dependencyGate(T1)).toBe('waiting')
        },
      }))

  it('[T-132] refuses an empty list before an unknown task, then unknown prerequisites in list order', async () => {
    await given().when(depend(T1)).refuses('empty_dependency_list', { taskId: T1 })
    await given().when(depend(T1, T2)).refuses('unknown_task', { taskId: T1 })
    await given(taskCreate())
      .when(depend(T1, T1, T3, T2))
      .refuses('unknown_task', { taskId: T3 })
  })

  it('[T-27, T-133, T-91] refuses cycles of length one, two and three, and through a diamond', async () => {
    await given(three).when(depend(T1, T1)).refuses('dependency_cycle', { taskId: T1, cycleThrough: T1 })
    await given(three, depend(T1, T2))
      .when(depend(T2, T1))
      .refuses('dependency_cycle', { taskId: T2, cycleThrough: T1 })
    await given(three, depend(T1, T2), depend(T2, T3))
      .when(depend(T3, T1))
      .refuses('dependency_cycle', { taskId: T3, cycleThrough: T1 })
    const [top, left, right, bottom] = [taskId(11), taskId(12), taskId(13), taskId(14)]
    await given(
      [top, left, right, bottom].map((id) => taskCreate(id)),
      depend(top, left, right),
      depend(left, bottom),
      depend(right, bottom),
    )
      .when(depend(bottom, taskId(13)))
      .refuses('dependency_cycle', { taskId: bottom, cycleThrough: right })
  })
})

it('[T-129] refuses a transition into a state nobody knows by name', () =>
  given(reach.scheduled)
    .when(move('scheduled', 'done' as 'ready', { runId: R2 }))
    .isInvalid('newState'))
