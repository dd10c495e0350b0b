import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { defineTask, TerminalFailure } from '../../src/index.js'
import { budgetDimension, createTaskSpec, type TaskId } from '../../src/tasks/index.js'
import { openRoom, type Room } from './dispatch/support/room.js'

const work = defineTask('work', {}, (input) => input)

function failing(room: Room): void {
  room.tasks.handle('work', () => {
    throw new TerminalFailure('no')
  })
}

async function ended(room: Room, taskId: TaskId): Promise<string> {
  return (await room.tasks.outcome(taskId)).status
}

describe('a key', () => {
  it('[T-210] is submitted once: answered with the task that is there, whatever the order of its fields', async () => {
    const room = await openRoom()
    const first = await room.tasks.submit(work, { a: 1, b: [2] }, { key: 'order-42' })
    const again = await room.tasks.submit(work, { b: [2], a: 1 }, { key: 'order-42', metadata: { priority: 5 } })
    expect([first.isNew, again.isNew, again.id === first.id]).toEqual([true, false, true])
    expect(room.authority.projection.taskCount).toBe(1)
    const other = await room.tasks.submit(work, { a: 1, b: [2] }, { key: 'order-43' })
    expect(other.id).not.toBe(first.id)
  })

  it.each([
    ['another input', (room: Room) => room.tasks.submit(work, { a: 2 }, { key: 'order-42' })],
    ['another kind', (room: Room) => room.tasks.submit('other', { a: 1 }, { key: 'order-42' })],
    ['text for the same', (room: Room) => room.tasks.submit(work, '{"a":1}', { key: 'order-42' })],
    ['no input', (room: Room) => room.tasks.submit({ kind: 'work', key: 'order-42' })],
    ['another input in a graph', (room: Room) => room.tasks.submitGraph({ x: { kind: 'work', key: 'order-42' } })],
  ])('[T-210] refuses %s', async (_, submit) => {
    const room = await openRoom()
    const { id } = await room.tasks.submit(work, { a: 1 }, { key: 'order-42' })
    await expect(submit(room)).rejects.toMatchObject({ code: 'key_in_use', data: { key: 'order-42', taskId: id } })
    expect(room.authority.projection.taskCount).toBe(1)
  })

  it('[T-210] is one for all who submit at once', async () => {
    const room = await openRoom()
    const handles = await Promise.all([1, 2, 3].map(() => room.tasks.submit(work, 1, { key: 'k' })))
    expect(new Set(handles.map(({ id }) => id)).size).toBe(1)
    expect(handles.map(({ isNew }) => isNew)).toEqual([true, false, false])
  })

  it('[T-210] survives a crash, and a snapshot', async () => {
    const room = await openRoom()
    const { id } = await room.tasks.submit(work, 1, { key: 'k' })
    const crashed = await room.crash()
    expect(await crashed.tasks.submit(work, 1, { key: 'k' })).toMatchObject({ id, isNew: false })
    await crashed.lane.compact()
    const compacted = await crashed.crash()
    expect(await compacted.tasks.submit(work, 1, { key: 'k' })).toMatchObject({ id, isNew: false })
    await expect(compacted.tasks.submit(work, 2, { key: 'k' })).rejects.toMatchObject({ code: 'key_in_use' })
  })

  it('[T-210] names the task in a graph, which is left as it is', async () => {
    const room = await openRoom()
    const { id } = await room.tasks.submit(work, 1, { key: 'k' })
    const graph = await room.tasks.submitGraph({
      first: { kind: 'work', payload: 1, key: 'k', dependsOn: ['other'] },
      other: { kind: 'work' },
      last: { kind: 'work', dependsOn: ['first'] },
    })
    expect(graph.first).toBe(id)
    const { projection } = room.authority
    expect([projection.prerequisites(id), projection.prerequisites(graph.last)]).toEqual([[], [id]])
  })

  it('[T-211] is unique in the authority, and never empty', async () => {
    const room = await openRoom()
    const { id } = await room.tasks.submit(work, 1, { key: 'k' })
    const other = '00000000-0000-4000-8000-000000000001' as TaskId
    const taskSpec = createTaskSpec({ id: other, kind: 'work', key: 'k' })
    const refused = room.authority.submit({ type: 'task_create', taskSpec, atMs: 1 })
    await expect(refused).rejects.toMatchObject({ code: 'key_in_use', data: { key: 'k', taskId: id } })
    await expect(room.tasks.submit(work, 1, { key: '' })).rejects.toMatchObject({ code: 'empty_task_key' })
  })
})

describe('retrying', () => {
  it('[T-212] submits what failed anew, once, under a new id that names the old one, with its key', async () => {
    const room = await openRoom()
    failing(room)
    const before = await room.tasks.submit({ kind: 'work' })
    const { id } = await room.tasks.submit(
      'work',
      { a: 1 },
      {
        key: 'k',
        constraints: { timeoutMs: 5000 },
        metadata: { priority: 3 },
        budgets: { token: 50 },
        after: [before],
      },
    )
    expect(await ended(room, id)).toBe('failed')
    const { id: retried, isNew } = await room.tasks.retry(id)
    expect(isNew).toBe(true)
    const { projection } = room.authority
    const [old, spec] = [projection.task(id)?.spec, projection.task(retried)?.spec]
    expect(spec).toEqual({ ...old, id: retried, retryOf: id })
    expect(projection.budget(retried, budgetDimension('token'))).toMatchObject({ limit: 50, consumed: 0 })
    expect(projection.prerequisitesOfAnyEnd(retried)).toEqual([before])
    expect(await room.tasks.retry(id)).toMatchObject({ id: retried, kind: 'work', isNew: false })
    expect(await room.tasks.submit('work', { a: 1 }, { key: 'k' })).toMatchObject({ id: retried, isNew: false })
    expect(await ended(room, retried)).toBe('failed')
    const second = await room.tasks.retry(retried)
    expect(projection.task(second.id)?.spec.retryOf).toBe(retried)
  })

  it('[T-212] is known after a crash and a snapshot', async () => {
    const room = await openRoom()
    failing(room)
    const { id } = await room.tasks.submit('work', 1, { key: 'k' })
    await ended(room, id)
    const { id: retried } = await room.tasks.retry(id)
    await room.lane.compact()
    const later = await room.crash()
    expect(await later.tasks.retry(id)).toMatchObject({ id: retried, isNew: false })
    expect(later.authority.projection.taskByKey('k')).toBe(retried)
  })

  it('[T-355] answers with a handle, of a handle with one of its type', async () => {
    const room = await openRoom()
    let attempts = 0
    const flaky = defineTask('flaky', { output: v.pipe(v.string(), v.transform(Number)) }, () => {
      attempts += 1
      if (attempts === 1) throw new TerminalFailure('not yet')
      return '5'
    })
    room.tasks.handle(flaky)
    const handle = await room.tasks.submit(flaky, undefined)
    await expect(handle.result()).rejects.toMatchObject({ code: 'task_failed' })
    const again = await handle.retry()
    expect([again.isNew, again.kind, (await again.result()) + 1]).toEqual([true, 'flaky', 6])
    const untyped = await room.tasks.retry(handle.id)
    expect([untyped.id, untyped.isNew, await untyped.result()]).toEqual([again.id, false, '5'])
  })

  it('[T-212] is for what has failed', async () => {
    const room = await openRoom()
    const open = await room.tasks.submit({ kind: 'work' })
    const refusal = { code: 'retry_requires_failed', data: { taskId: open, phase: 'open' } }
    await expect(room.tasks.retry(open)).rejects.toMatchObject(refusal)
    room.tasks.handle(work)
    await ended(room, open)
    await expect(room.tasks.retry(open)).rejects.toMatchObject({ data: { phase: 'completed' } })
    const unknown = '00000000-0000-4000-8000-000000000001' as TaskId
    await expect(room.tasks.retry(unknown)).rejects.toMatchObject({ code: 'unknown_task' })
  })
})
