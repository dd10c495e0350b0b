import { describe, expect, it, vi } from 'vitest'
import { JournalError } from '../../src/journal/errors.js'
import type { JournalStore } from '../../src/journal/journal.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { isRefusal, TaskAuthority, type CommandType, type TaskCommand } from '../../src/tasks/index.js'
import { expectRefusal, factsIn, openTasks, reopenTasks, stateOf, submitAll } from './support/authority.js'
import {
  allocate,
  cancel,
  consume,
  depend,
  finish,
  lease,
  move,
  reach,
  runCreate,
  start,
  taskCreate,
  token,
} from './support/commands.js'
import { A1, R1, R2, T1, T2, taskId } from './support/ids.js'

describe('a submitted command', () => {
  it('[T-1] gets the next sequence, and its effect shows', async () => {
    const { authority } = await openTasks()
    expect(await authority.submit(taskCreate())).toEqual({ sequence: 1, applied: { type: 'task_create', taskId: T1 } })
    expect((await authority.submit(runCreate())).sequence).toBe(2)
    expect((await authority.submit(move('scheduled', 'ready'))).sequence).toBe(3)
    expect(authority.projection.latestSequence).toBe(3)
    expect(authority.projection.run(R1)?.state).toBe('ready')
  })

  it('[T-3] takes no sequence when it is refused, and hurts no neighbour', async () => {
    const { authority } = await openTasks()
    const [first, refused, second] = await Promise.allSettled([
      authority.submit(taskCreate()),
      authority.submit(taskCreate()),
      authority.submit(runCreate()),
    ])
    expect([first, second]).toMatchObject([{ value: { sequence: 1 } }, { value: { sequence: 2 } }])
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'task_already_exists' } })
  })

  it('[T-7] is refused under any expected sequence but the next', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.leased)
    for (const expectedSequence of [4, 6]) {
      const submitted = tasks.authority.submit(cancel(), { expectedSequence })
      await expectRefusal(submitted, 'non_monotonic_sequence', { expected: 5, provided: expectedSequence })
    }
    expect(await tasks.authority.submit(cancel(), { expectedSequence: 5 })).toMatchObject({ sequence: 5 })
  })

  it('[T-7] compares the expected sequence with everything under way', async () => {
    const { authority } = await openTasks()
    const first = authority.submit(taskCreate(T1), { expectedSequence: 1 })
    const lost = authority.submit(taskCreate(T2), { expectedSequence: 1 })
    await expectRefusal(lost, 'non_monotonic_sequence', { expected: 2, provided: 1 })
    expect((await first).sequence).toBe(1)
  })

  it('[T-25] leaves other tasks alone', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, [...reach.running, start(), finish(), taskCreate(T2), runCreate(R2, T2)])
    const before = tasks.authority.projection.run(R2)
    await tasks.authority.submit(cancel(T1))
    expect(tasks.authority.projection.task(T2)?.cancelledAtMs).toBeUndefined()
    expect(tasks.authority.projection.run(R2)).toBe(before)
    const live = stateOf(tasks)
    expect(stateOf(await reopenTasks(tasks))).toEqual(live)
  })

  it('[T-107] cannot be changed by its caller afterwards', async () => {
    const { authority } = await openTasks()
    const command = taskCreate()
    const tags = command.taskSpec.metadata.tags as string[]
    const submitted = authority.submit(command)
    tags.push('late')
    await submitted
    expect(authority.projection.task(T1)?.spec.metadata.tags).toEqual([])
  })

  it.each([null, {}, { type: 'nothing' }, { type: 'constructor' }, { type: '__proto__' }])(
    'is refused when it is %j',
    async (command) => {
      const tasks = await openTasks()
      await expect(tasks.authority.submit<CommandType>(command as TaskCommand)).rejects.toMatchObject({
        code: 'invalid_input',
        data: { subject: 'task command', field: 'type' },
      })
      expect(tasks.authority.projection.latestSequence).toBe(0)
    },
  )

  it('[T-152] is refused when the authority was never started', async () => {
    await expectRefusal(new TaskAuthority().submit(taskCreate()), 'stream_not_started', { stream: 'tasks' })
  })

  it('[T-120] tells refusals from other errors', async () => {
    const { authority, store } = await openTasks()
    const refusal: unknown = await authority.submit(runCreate()).catch((error: unknown) => error)
    store.failNext('write')
    const failure: unknown = await authority.submit(taskCreate()).catch((error: unknown) => error)
    expect([refusal, failure, new Error('other')].map(isRefusal)).toEqual([true, false, false])
  })

  it('[T-152] works without a journal', async () => {
    const authority = new TaskAuthority()
    const lane = await Lane.open({ streamFor: () => authority })
    authority.start(lane)
    expect(await authority.submit(taskCreate())).toMatchObject({ sequence: 1 })
    expect(authority.projection.taskCount).toBe(1)
  })
})

describe('when the journal fails', () => {
  it('[T-4] a refused write changes nothing and may be tried again', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.scheduled)
    const before = stateOf(tasks)
    tasks.store.failNext('write')
    await expect(tasks.authority.submit(move('scheduled', 'ready'))).rejects.toMatchObject({
      code: 'lane_not_appended',
    })
    expect(stateOf(tasks)).toEqual(before)
    expect(await tasks.authority.submit(move('scheduled', 'ready'))).toMatchObject({ sequence: 3 })
  })

  it('[T-2, T-5] a failed sync leaves the durability unknown and the projection as it was', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.scheduled)
    const before = stateOf(tasks)
    tasks.store.failNext('sync')
    await expect(tasks.authority.submit(move('scheduled', 'ready'))).rejects.toMatchObject({
      code: 'lane_durability_unknown',
      data: { cause: 'whether the records survive is unknown, reopen the journal: the sync failed' },
    })
    expect(stateOf(tasks)).toEqual(before)
    expect(tasks.authority.projection.latestSequence).toBe(2)
  })

  it('[T-26] every later command fails fast until the lane is reopened', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.scheduled)
    tasks.store.failNext('sync')
    await expect(tasks.authority.submit(move('scheduled', 'ready'))).rejects.toMatchObject({
      code: 'lane_durability_unknown',
    })
    await expect(tasks.authority.submit(cancel())).rejects.toMatchObject({
      code: 'lane_poisoned',
      data: { cause: 'whether the records survive is unknown, reopen the journal: the sync failed' },
    })
    await tasks.lane.reopen()
    expect(await tasks.authority.submit(move('scheduled', 'ready'))).toMatchObject({ sequence: 3 })
    const live = stateOf(tasks)
    expect(stateOf(await reopenTasks(tasks))).toEqual(live)
  })

  it('[T-28] a failed sync rejects the whole group in order, with the projection unchanged', async () => {
    const tasks = await openTasks()
    const settled: number[] = []
    tasks.store.failNext('sync')
    const submits = Array.from({ length: 5 }, (_, index) =>
      tasks.authority.submit(taskCreate(taskId(index + 1))).finally(() => settled.push(index)),
    )
    const results = await Promise.allSettled(submits)
    expect(results.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => 'rejected'))
    expect(settled).toEqual([0, 1, 2, 3, 4])
    expect(tasks.authority.projection.latestSequence).toBe(0)
    await tasks.lane.reopen()
    expect(await tasks.authority.submit(taskCreate())).toMatchObject({ sequence: 1 })
  })

  it('[T-149] a refusal that leaned on a command whose sync failed is not told as a refusal', async () => {
    const { authority, store } = await openTasks()
    store.failNext('sync')
    const doomed = authority.submit(taskCreate())
    const leaning = authority.submit(taskCreate())
    await expect(doomed).rejects.toMatchObject({ code: 'lane_durability_unknown' })
    await expect(leaning).rejects.not.toMatchObject({ code: 'task_already_exists' })
  })

  it('[T-150] a command whose record is too large is refused, and nothing else', async () => {
    const store = createMemoryJournal()
    const authority = new TaskAuthority()
    const limited: JournalStore = {
      async open() {
        const opened = await store.open()
        const append = opened.journal.append.bind(opened.journal)
        opened.journal.append = (records) => {
          const bytes = JSON.stringify(records).length
          if (bytes > 1000) throw new JournalError('journal_record_too_large', { bytes, limit: 1000 })
          return append(records)
        }
        return opened
      },
    }
    authority.start(await Lane.open({ store: limited, streamFor: () => authority }))
    const large = taskCreate(T1, { payload: { bytes: new Uint8Array(1000) } })
    await expect(authority.submit(large)).rejects.toThrow('bytes exceed the 1000 ')
    await expect(authority.submit(large, { durability: 'deferred' })).rejects.toThrow('bytes exceed the 1000 ')
    expect(await authority.submit(taskCreate(T1))).toMatchObject({ sequence: 1 })
  })
})

describe('an atomic batch', () => {
  it('[T-122] is validated one after another and applied as one', async () => {
    const tasks = await openTasks()
    const outcomes = await tasks.authority.submitBatch([
      taskCreate(T1),
      taskCreate(T2),
      runCreate(R1, T1),
      depend(T1, T2),
      allocate(10),
    ])
    expect(outcomes.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5])
    expect(tasks.authority.projection.dependencyGate(T1)).toBe('waiting')
  })

  it('[T-122] leaves no trace when one command is refused', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, [taskCreate(T2)])
    const before = stateOf(tasks)
    const submitted = tasks.authority.submitBatch([taskCreate(T1), runCreate(R1, T1), depend(T2, T1), depend(T1, T2)])
    await expectRefusal(submitted, 'dependency_cycle', { taskId: T1, cycleThrough: T2 })
    expect(stateOf(tasks)).toEqual(before)
    expect(await tasks.authority.submit(taskCreate(T1))).toMatchObject({ sequence: 2 })
    await tasks.lane.close()
    expect(await factsIn(tasks.store)).toHaveLength(2)
  })

  it('[T-122] survives a crash as a whole or not at all', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.running)
    const doomed = tasks.authority.submitBatch([cancel(), move('running', 'cancelled')])
    tasks.store.crash()
    await expect(doomed).rejects.toThrow()
    const { authority } = await openTasks(tasks.store)
    expect(authority.projection.task(T1)?.cancelledAtMs).toBeUndefined()
    expect(authority.projection.run(R1)?.state).toBe('running')
  })

  it('[T-118] names the first refusal of construction without touching the lane', async () => {
    const { authority } = await openTasks()
    await expectRefusal(authority.submitBatch([taskCreate(), consume(0)]), 'zero_amount', { dimension: token })
    expect(authority.projection.latestSequence).toBe(0)
  })

  it('[T-123] lets later commands build on the outcome of earlier ones', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, reach.ready)
    const fencingToken = await tasks.authority.transact((batch) => {
      batch.submit(move('ready', 'leased'))
      const { applied } = batch.submit(lease('lease_acquire'))
      batch.submit(move('leased', 'running', { fencingToken: applied.fencingToken }))
      batch.submit(start(A1, { fencingToken: applied.fencingToken }))
      expect(batch.view.run(R1)?.currentAttemptId).toBe(A1)
      expect(tasks.authority.projection.run(R1)?.state).toBe('ready')
      return applied.fencingToken
    })
    expect(fencingToken).toBe(5)
    expect(tasks.authority.projection.run(R1)).toMatchObject({ state: 'running', lease: { fencingToken: 5 } })
  })

  it('[T-123] sees the runs under way of a task, so that cancelling misses none', async () => {
    const { authority } = await openTasks()
    const created = authority.submitBatch([taskCreate(), runCreate(R1)])
    const late = authority.submit(runCreate(R2))
    await authority.transact((batch) => {
      batch.submit(cancel())
      for (const { id, state } of batch.view.runsOf(T1)) batch.submit(move(state, 'cancelled', { runId: id }))
    })
    await Promise.all([created, late])
    expect([R1, R2].map((id) => authority.projection.run(id)?.state)).toEqual(['cancelled', 'cancelled'])
  })

  it('[T-122] goes on after a refusal that its builder catches', async () => {
    const { authority } = await openTasks()
    const outcome = await authority.transact((batch) => {
      expect(() => batch.submit(runCreate())).toThrow('no task')
      batch.submit(taskCreate())
      return batch.submit(runCreate()).sequence
    })
    expect(outcome).toBe(2)
  })

  it('[T-123] without commands waits for what it saw, and takes no sequence', async () => {
    const { authority } = await openTasks()
    const heard = vi.fn()
    using _ = authority.onCommit(heard)
    const created = authority.submit(taskCreate())
    let isCreated = false
    const seen = authority.transact((batch) => batch.view.task(T1)?.createdAtMs)
    void created.then(() => (isCreated = true))
    expect(await seen).toBe(100)
    expect(isCreated).toBe(true)
    expect(authority.projection.latestSequence).toBe(1)
    expect(await authority.submitBatch([])).toEqual([])
    expect(heard).toHaveBeenCalledTimes(1)
  })

  it('[T-123] takes no command once its builder has returned', async () => {
    const { authority } = await openTasks()
    let kept: Parameters<Parameters<typeof authority.transact>[0]>[0] | undefined
    await authority.transact((batch) => {
      kept = batch
      batch.submit(taskCreate())
    })
    expect(() => kept?.submit(runCreate())).toThrow('only until its builder returns')
    expect(authority.projection.latestSequence).toBe(1)
  })

  it('[T-122] is refused as a whole by what its builder throws', async () => {
    const { authority } = await openTasks()
    const fault = new Error('changed my mind')
    const build = authority.transact((batch) => {
      batch.submit(taskCreate())
      throw fault
    })
    await expect(build).rejects.toBe(fault)
    expect(await authority.submit(taskCreate())).toMatchObject({ sequence: 1 })
  })
})

describe('a deferred command', () => {
  it('[T-124] is acknowledged at once and becomes visible when it is durable', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, [taskCreate(), allocate(100)])
    expect(await tasks.authority.submit(consume(7), { durability: 'deferred' })).toMatchObject({ sequence: 3 })
    await tasks.lane.settled()
    expect(tasks.authority.projection.budget(T1, token)?.consumed).toBe(7)
  })

  it('[T-124] still tells its refusal', async () => {
    const { authority } = await openTasks()
    await expectRefusal(authority.submit(consume(7), { durability: 'deferred' }), 'unknown_task', { taskId: T1 })
  })

  it('[T-124] may be lost with a crash, without leaving a trace or an unhandled rejection', async () => {
    const tasks = await openTasks()
    await submitAll(tasks, [taskCreate(), allocate(100)])
    await tasks.authority.submit(consume(7), { durability: 'deferred' })
    tasks.store.crash()
    const { authority } = await openTasks(tasks.store)
    expect(authority.projection.latestSequence).toBeGreaterThanOrEqual(2)
  })
})

describe('commit listeners', () => {
  it('[T-151] hear of every commit in order, after it shows, and never of what failed', async () => {
    const { authority, store, lane } = await openTasks()
    const heard: string[][] = []
    using _ = authority.onCommit(({ events }) => {
      heard.push(events.map(({ sequence, type }) => `${sequence} ${type}`))
      expect(authority.projection.latestSequence).toBe(events.at(-1)?.sequence)
    })
    await Promise.all([
      authority.submitBatch([taskCreate(), runCreate()]),
      authority.submit(move('scheduled', 'ready')),
    ])
    store.failNext('sync')
    await expect(authority.submit(cancel())).rejects.toThrow()
    await lane.reopen()
    await authority.submit(cancel())
    expect(heard).toEqual([['1 task_created', '2 run_created'], ['3 run_state_changed'], ['4 task_cancelled']])
  })

  it('[T-151] cannot harm the lane, and stop when disposed', async () => {
    const error = vi.fn()
    const authority = new TaskAuthority({ logger: { debug() {}, info() {}, warn() {}, error } })
    authority.start(await Lane.open({ streamFor: () => authority }))
    const handle = authority.onCommit(() => {
      throw new Error('listener fault')
    })
    await authority.submit(taskCreate())
    expect(error).toHaveBeenCalledWith(expect.objectContaining({ error: 'listener fault' }), expect.any(String))
    handle[Symbol.dispose]()
    await authority.submit(runCreate())
    expect(error).toHaveBeenCalledTimes(1)
  })
})
