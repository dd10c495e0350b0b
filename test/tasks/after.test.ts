import { describe, expect, it } from 'vitest'
import { TerminalFailure } from '../../src/index.js'
import type { PrerequisiteView, TaskId } from '../../src/tasks/index.js'
import { openRoom, type Room } from './dispatch/support/room.js'

async function openWithHandlers(): Promise<Room & { readonly seen: (readonly PrerequisiteView[])[] }> {
  const room = await openRoom()
  const seen: (readonly PrerequisiteView[])[] = []
  room.tasks.handle('good', () => ({ made: [1] }))
  room.tasks.handle('bad', () => {
    throw new TerminalFailure('broken')
  })
  room.tasks.handle('clean', ({ prerequisites }) => {
    seen.push(prerequisites())
    return 'clean'
  })
  return { ...room, seen }
}

describe('after', () => {
  it('[T-213] a task runs whatever the end of what it comes after, and is told of it', async () => {
    const room = await openWithHandlers()
    const { good, bad, clean } = await room.tasks.submitGraph({
      good: { kind: 'good' },
      bad: { kind: 'bad' },
      clean: { kind: 'clean', after: ['bad'], dependsOn: ['good'] },
    })
    expect(await room.tasks.outcome(clean)).toMatchObject({ status: 'completed' })
    expect(room.seen).toEqual([
      [
        { taskId: good, kind: 'good', status: 'completed', output: { made: [1] } },
        { taskId: bad, kind: 'bad', status: 'failed', output: undefined, error: 'broken' },
      ],
    ])
  })

  it('[T-213] it waits until then, and a cancellation is an end, too', async () => {
    const room = await openRoom()
    let calls = 0
    room.tasks.handle('clean', () => void (calls += 1))
    const never = await room.tasks.submit({ kind: 'nobody' })
    const { clean } = await room.tasks.submitGraph({ clean: { kind: 'clean' } })
    await room.tasks.outcome(clean)
    const waiting = await room.tasks.submit({ kind: 'clean', after: [never] })
    await room.settle()
    expect([calls, room.authority.projection.dependencyGate(waiting)]).toEqual([1, 'waiting'])
    await room.tasks.cancel(never)
    expect(await room.tasks.outcome(waiting)).toMatchObject({ status: 'completed' })
    expect(calls).toBe(2)
  })

  it('[T-213] a failed one that had to complete still cancels what waits for both', async () => {
    const room = await openWithHandlers()
    const { clean } = await room.tasks.submitGraph({
      one: { kind: 'bad' },
      other: { kind: 'bad' },
      clean: { kind: 'clean', after: ['one'], dependsOn: ['other'] },
    })
    expect(await room.tasks.outcome(clean)).toMatchObject({ status: 'cancelled' })
  })

  it('[T-213] survives a crash and a snapshot', async () => {
    const room = await openRoom()
    const { bad, clean } = await room.tasks.submitGraph({
      bad: { kind: 'bad' },
      clean: { kind: 'clean', after: ['bad'] },
    })
    await room.lane.compact()
    const later = await room.crash()
    expect(later.authority.projection.prerequisitesOfAnyEnd(clean)).toEqual([bad])
    later.tasks.handle('bad', () => {
      throw new TerminalFailure('broken')
    })
    later.tasks.handle('clean', () => 'clean')
    expect(await later.tasks.outcome(clean)).toMatchObject({ status: 'completed' })
  })

  it('[T-214] nobody waits for one both ways, nor in a circle', async () => {
    const room = await openRoom()
    const [one, other] = [await room.tasks.submit({ kind: 'a' }), await room.tasks.submit({ kind: 'b' })]
    const declare = (taskId: TaskId, dependsOn: readonly TaskId[], after: readonly TaskId[]) =>
      room.authority.submit({ type: 'dependency_declare', taskId, dependsOn, after, atMs: 1 })
    await expect(declare(one, [other], [other])).rejects.toMatchObject({
      code: 'conflicting_dependency',
      data: { taskId: one, prerequisite: other },
    })
    await declare(one, [], [other])
    await expect(declare(one, [other], [])).rejects.toMatchObject({ code: 'conflicting_dependency' })
    await expect(declare(other, [], [one])).rejects.toMatchObject({ code: 'dependency_cycle' })
    await expect(declare(one, [], [])).rejects.toMatchObject({ code: 'empty_dependency_list' })
    await expect(room.tasks.submit({ kind: 'c', after: [one], dependsOn: [one] })).rejects.toMatchObject({
      code: 'conflicting_dependency',
    })
  })
})
