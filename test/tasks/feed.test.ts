import { lastValueFrom, toArray } from 'rxjs'
import { expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { Lane } from '../../src/lane/lane.js'
import { createRuntime } from '../../src/runtime.js'
import { createRun, succeeded, TaskAuthority, TerminalFailure, type TaskCommand } from '../../src/tasks/index.js'
import { openTasks, reopenTasks, stateOf, submitAll } from './support/authority.js'
import { cancel, move, reach, runCreate, taskCreate, working } from './support/commands.js'
import { A1, R1, R2, runId, T1, T2, T3, taskId } from './support/ids.js'

const cancelRun = (number: number): TaskCommand => ({
  ...move('scheduled', 'cancelled'),
  runId: runId(number),
  atMs: 300 + number,
})

/** A task of one run that is cancelled by the third command. */
const endedTask = (number: number): readonly TaskCommand[] => [
  taskCreate(taskId(number)),
  runCreate(runId(number), taskId(number)),
  cancelRun(number),
]

it('[T-330] tells each end by the number of its command, alike live, after replay and after a snapshot', async () => {
  const tasks = await openTasks()
  await submitAll(tasks, [...reach.completed, taskCreate(T2, { key: 'order-42' }), cancel(T2), cancel(T1)])
  const expected = [
    { seq: 6, taskId: T1, kind: 'work', status: 'completed', endedAtMs: 110 },
    { seq: 8, taskId: T2, kind: 'work', key: 'order-42', status: 'cancelled', endedAtMs: 140 },
  ]
  expect(tasks.authority.feed.since(0)).toEqual({ entries: expected, watermark: 8, droppedThrough: 0 })
  expect(tasks.authority.feed.since(6).entries).toEqual(expected.slice(1))
  const replayed = await reopenTasks(tasks)
  expect(replayed.authority.feed.since(0)).toEqual({ entries: expected, watermark: 8, droppedThrough: 0 })
  await replayed.lane.compact()
  const restored = await reopenTasks(replayed)
  expect(restored.authority.feed.since(0)).toEqual({ entries: expected, watermark: 8, droppedThrough: 0 })
  await submitAll(restored, endedTask(50))
  expect(restored.authority.feed.since(8).entries).toMatchObject([{ seq: 12, taskId: taskId(50) }])
})

it('[T-330] one change that ends several tasks tells each of them', async () => {
  const { authority } = await openTasks()
  await authority.submitBatch([...endedTask(50), ...endedTask(51), taskCreate(T3), cancel(T3)])
  expect(authority.feed.since(0).entries.map(({ seq, taskId: id }) => [seq, id])).toEqual([
    [3, taskId(50)],
    [6, taskId(51)],
    [8, T3],
  ])
})

it('[T-331] tells an end when no crash takes it back, and none that was refused', async () => {
  const { authority } = await openTasks()
  await authority.submitBatch([taskCreate(T1), runCreate(R1, T1)])
  const cancelled = authority.submit(move('scheduled', 'cancelled'), { durability: 'immediate' })
  expect(authority.feed.watermark()).toBe(0)
  await cancelled
  expect(authority.feed.watermark()).toBe(3)
  const refused = authority.submitBatch([taskCreate(T2), cancel(T2), cancel(T2)])
  await expect(refused).rejects.toMatchObject({ code: 'task_already_cancelled' })
  expect(authority.feed.since(0).entries.map(({ taskId: id }) => id)).toEqual([T1])
})

it('[T-332] keeps the latest ends, and tells a consumer that comes later of the gap, also after a restart', async () => {
  const store = createMemoryJournal()
  const open = async () => {
    const authority = new TaskAuthority({ feedCapacity: 3 })
    const lane = await Lane.open({ store, streamFor: () => authority })
    authority.start(lane)
    return { authority, lane, store }
  }
  const tasks = await open()
  for (let number = 50; number < 55; number += 1) await submitAll(tasks, endedTask(number))
  const facts = (authority: TaskAuthority) => [
    authority.feed.since(0).entries.map(({ seq }) => seq),
    authority.feed.gapAfter(5),
    authority.feed.gapAfter(6),
  ]
  const expected = [[9, 12, 15], { requestedAfterSeq: 5, droppedThrough: 6, watermark: 15 }, undefined]
  expect(facts(tasks.authority)).toEqual(expected)
  await expect(tasks.authority.feed.entries({ after: 3 }).next()).rejects.toMatchObject({ code: 'feed_gap' })
  const live = stateOf(tasks)
  await tasks.lane.close()
  const replayed = await open()
  expect(facts(replayed.authority)).toEqual(expected)
  expect(stateOf(replayed)).toEqual(live)
  await replayed.lane.compact()
  await replayed.lane.close()
  const restored = await open()
  expect(facts(restored.authority)).toEqual(expected)
  await submitAll(restored, endedTask(60))
  expect(restored.authority.feed.since(0)).toMatchObject({ droppedThrough: 9, watermark: 18 })
})

it('[T-333] a task that repeats ends once, with its last run; one that is given more runs ends again', async () => {
  await using runtime = await createRuntime()
  const { tasks } = runtime
  let ran = 0
  tasks.handle('tick', () => void (ran += 1))
  const id = await tasks.submit({ kind: 'tick', runPolicy: { type: 'repeat', count: 12, intervalMs: 1 } })
  await tasks.outcome(id)
  expect([ran, tasks.feed.since(0).entries.map((end) => [end.taskId, end.status])]).toEqual([12, [[id, 'completed']]])

  const going = await openTasks()
  const end = { type: 'attempt_end', runId: R1, attemptId: A1, outcome: succeeded(), newState: 'completed' } as const
  const runs = [createRun({ id: R2, taskId: T1, createdAtMs: 140, scheduledAtMs: 140 })]
  await submitAll(going, [...working, { ...end, runs, fencingToken: 5, atMs: 140 }])
  expect(going.authority.feed.since(0).entries).toEqual([])

  const { authority } = await openTasks()
  await authority.submitBatch([taskCreate(T1), runCreate(R1, T1), move('scheduled', 'cancelled')])
  await authority.submitBatch([runCreate(R2, T1), { ...move('scheduled', 'cancelled'), runId: R2 }])
  expect(authority.feed.since(0).entries.map(({ seq, taskId: ended }) => [seq, ended])).toEqual([
    [3, T1],
    [5, T1],
  ])
})

it('[T-334] a consumer that was away goes on where it stopped, in the next process too, until the runtime closes', async () => {
  const store = createMemoryJournal()
  const handlers = (failing: string) => (context: { readonly text: () => string }) => {
    if (context.text() === failing) throw new TerminalFailure('no')
    return context.text()
  }
  const before = await createRuntime({ store })
  before.tasks.handle('work', handlers('b'))
  for (const text of ['a', 'b']) await before.tasks.outcome(await before.tasks.submit({ kind: 'work', payload: text }))
  const first = before.tasks.feed.entries()
  const cursor = (await first.next()).value?.seq
  await first.return?.()
  await before.close()
  expect(before.tasks.feed.since(cursor).entries.map(({ status }) => status)).toEqual(['failed'])

  const runtime = await createRuntime({ store })
  const seen = lastValueFrom(runtime.tasks.feed.observe({ after: cursor }).pipe(toArray()))
  runtime.tasks.handle('work', handlers('nothing'))
  await (await runtime.tasks.submit('work', 'c', { key: 'third' })).outcome()
  await runtime.close()
  expect((await seen).map(({ status, key }) => [status, key])).toEqual([
    ['failed', undefined],
    ['completed', 'third'],
  ])
  await expect(runtime.tasks.feed.waitForAdvance(1000)).rejects.toMatchObject({ code: 'channel_closed' })
})

it.each([0, 1.5, 'many'])('[T-332] a bound of %j is refused', async (feedCapacity) => {
  await expect(createRuntime({ tasks: { feedCapacity: feedCapacity as number } })).rejects.toMatchObject({
    code: 'invalid_input',
    data: { field: 'tasks.feedCapacity' },
  })
})
