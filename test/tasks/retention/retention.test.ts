import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/base/json.js'
import { TaskAuthority, type ArchivedTask, type RetentionOptions, type TaskId } from '../../../src/tasks/index.js'
import { expectConsistentIndexes } from '../support/indexes.js'
import { openRoom, type Room, type RoomOptions } from '../dispatch/support/room.js'

const minute = 60_000

/** A room whose handler of `work` returns at once. */
async function openWorking(retention?: RetentionOptions, options: RoomOptions = {}): Promise<Room> {
  const room = await openRoom({ dispatch: { concurrency: 8 }, ...options, ...(retention && { retention }) })
  room.tasks.handle('work', () => 'done')
  return room
}

function tasksOf({ authority }: Room): readonly TaskId[] {
  return Array.from(authority.projection.tasks(), ({ spec }) => spec.id)
}

/** What a snapshot restores is what is live. */
function expectRestorable({ authority }: Room): void {
  const rows = [...authority.capture()]
  const copy = new TaskAuthority()
  for (const row of rows) copy.restore(JSON.parse(JSON.stringify(row)) as JsonObject)
  expect([...copy.capture()]).toEqual(rows)
  expectConsistentIndexes(authority.projection)
  expectConsistentIndexes(copy.projection)
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'done',
    (refusal: unknown) => (refusal as { readonly code?: unknown }).code,
  )
}

describe('what has ended is forgotten', () => {
  it('[T-300] when it has ended longer ago than is stated, also when nothing ran then', async () => {
    const before = await openWorking({ endedForMs: 10 * minute })
    const first = await before.tasks.submit({ kind: 'work', payload: 'a' })
    await before.pass(300)
    const second = await before.tasks.submit({ kind: 'work', payload: 'b' })
    await before.pass(299)
    expect(tasksOf(before)).toEqual([first, second])
    await before.pass(2)
    expect(tasksOf(before)).toEqual([second])
    expect(before.authority.projection.runCount).toBe(1)
    expectRestorable(before)
    await before.lane.compact()
    const room = await before.crash(3600)
    await room.settle()
    expect([tasksOf(room), room.authority.projection.runCount]).toEqual([[], 0])
    expectRestorable(room)
  })

  it('[T-300] when there are more than are stated, the oldest first; kinds may have bounds of their own', async () => {
    const room = await openWorking({ count: 3, kinds: { kept: {}, brief: { endedForMs: 0 } } })
    room.tasks.handle('kept', () => {})
    room.tasks.handle('brief', () => {})
    const ids: TaskId[] = []
    for (let index = 0; index < 6; index += 1) {
      ids.push(await room.tasks.submit({ kind: 'work' }))
      await room.pass(1)
    }
    const kept = await room.tasks.submit({ kind: 'kept' })
    await room.tasks.submit({ kind: 'brief' })
    await room.pass(2)
    expect(tasksOf(room)).toEqual([...ids.slice(3), kept])
  })

  it('[T-301] as a whole tree, when the last of it has ended', async () => {
    const room = await openWorking({ endedForMs: minute })
    let finish: () => void = () => {}
    room.tasks.handle('child', () => new Promise<void>((resolve) => (finish = resolve)))
    room.tasks.handle('parent', async ({ submit }) => {
      await submit({ kind: 'work' })
      await submit({ kind: 'child' })
    })
    const parent = await room.tasks.submit({ kind: 'parent' })
    await room.pass(90)
    expect(tasksOf(room)).toHaveLength(3)
    expect(await codeOf(room.tasks.forget(parent))).toBe('task_not_ended')
    finish()
    await room.pass(59)
    expect(tasksOf(room)).toHaveLength(3)
    await room.pass(90)
    expect(tasksOf(room)).toEqual([])
    expectRestorable(room)
  })

  it('[T-302] not while something that has not ended refers to it', async () => {
    const room = await openWorking({ endedForMs: minute })
    const needed = await room.tasks.submit({ kind: 'work' })
    const watched = await room.tasks.submit({ kind: 'work' })
    const spending = await room.tasks.submit({ kind: 'work', budgets: { token: 100 } })
    const free = await room.tasks.submit({ kind: 'work' })
    const at = 1_000_000_000 + 10 * minute
    await room.tasks.submit({ kind: 'work', dependsOn: [needed], at })
    const filter = { type: 'run_state_changed', taskId: watched, state: 'completed' } as const
    await room.tasks.submit({ kind: 'work', releasedBy: [filter], at })
    const reservationId = '00000000-0000-4000-8000-0000000000aa' as never
    const ofBudget = { reservationId, taskId: spending, dimension: 'token' as never, amount: 1, atMs: 1 }
    await room.authority.submit({ type: 'budget_reserve', ...ofBudget })
    await room.pass(120)
    const open = tasksOf(room).slice(3)
    expect(tasksOf(room)).toEqual([needed, watched, spending, ...open])
    expect(await codeOf(room.tasks.forget(needed))).toBe('task_in_use')
    expect(await codeOf(room.tasks.forget(watched))).toBe('task_in_use')
    expect(await codeOf(room.tasks.forget(spending))).toBe('task_in_use')
    expect(await codeOf(room.tasks.outcome(free))).toBe('no_longer_retained')
    await room.authority.submit({ type: 'budget_release', reservationId, atMs: 2 })
    await room.pass(800)
    expect(tasksOf(room)).toEqual([])
    expectRestorable(room)
  })

  it('[T-302] though a task that has ended has waited for it, which is none the worse', async () => {
    const room = await openWorking()
    room.tasks.handle('broken', () => {
      throw new Error('no')
    })
    const failed = await room.tasks.submit({ kind: 'broken' })
    const cancelled = await room.tasks.submit({ kind: 'work', dependsOn: [failed] })
    const follower = await room.tasks.submit({ kind: 'broken', after: [failed] })
    await room.settle()
    await room.tasks.forget(failed)
    expect(tasksOf(room)).toEqual([cancelled, follower])
    expect(await room.tasks.outcome(cancelled)).toMatchObject({ status: 'cancelled' })
    expectRestorable(room)
    // What a retry waited for and was forgotten has ended.
    const { id: again } = await room.tasks.retry(follower)
    await room.settle()
    expect(await room.tasks.outcome(again)).toMatchObject({ status: 'failed' })
    expect(await codeOf(room.tasks.submit({ kind: 'work', dependsOn: [failed] }))).toBe('no_longer_retained')
    expect(await codeOf(room.tasks.retry(failed))).toBe('no_longer_retained')
    expect(await codeOf(room.tasks.answer(failed, 'approval', true))).toBe('no_longer_retained')
    await room.tasks.forget(cancelled)
    expectRestorable(room)
  })
})

describe('forgetting', () => {
  it('[T-303] takes everything that belongs to a task, and nothing else', async () => {
    const room = await openRoom()
    room.tasks.handle('work', async ({ step, waitFor, budget }) => {
      await step('one', () => 1)
      await (await budget.reserve('token', 3)).settle(2)
      return waitFor('go')
    })
    const submit = (): Promise<TaskId> =>
      room.tasks.submit({ kind: 'work', budgets: { token: 9 }, releasedBy: [{ type: 'custom', key: 'k' }] })
    const [gone, kept] = [await submit(), await submit()]
    await room.settle()
    for (const id of [gone, kept]) await room.tasks.answer(id, 'go', true)
    await room.tasks.answer(gone, 'never asked', 1).catch(() => {})
    await room.settle()
    const { projection } = room.authority
    const partsOf = (id: TaskId): readonly number[] => [
      projection.runsOf(id).length,
      [...projection.budgetsOf(id)].length,
      [...projection.subscriptionsOf(id)].length,
      projection.question(id, 'go') === undefined ? 0 : 1,
    ]
    const [run] = projection.runsOf(gone)
    expect([partsOf(gone), partsOf(kept)]).toEqual([
      [1, 1, 1, 1],
      [1, 1, 1, 1],
    ])
    await room.tasks.forget(gone)
    expect([partsOf(gone), partsOf(kept)]).toEqual([
      [0, 0, 0, 0],
      [1, 1, 1, 1],
    ])
    expect([...projection.stepsOf(run?.id as never), ...projection.waitsOf(run?.id as never)]).toEqual([])
    expect(projection.run(run?.id as never)).toBeUndefined()
    expect(room.lane.health.status).toBe('open')
    const rows = JSON.stringify(
      [...room.authority.capture()].filter(({ row }) => row !== 'tombstone' && row !== 'task_end'),
    )
    expect([rows.includes(gone), rows.includes(kept)]).toEqual([false, true])
    expectRestorable(room)
  })

  it('[T-304] leaves a tombstone: who asks is told, and a key stays taken for the stated time', async () => {
    const before = await openWorking({ endedForMs: 0, tombstonesForMs: 10 * minute })
    const submit = (room: Room, payload: string): Promise<unknown> =>
      room.tasks.submit('work', payload, { key: 'order-42' }).then(
        ({ id, isNew }) => ({ id, isNew }),
        (refusal: unknown) => (refusal as { readonly code: string }).code,
      )
    const { id } = (await submit(before, 'a')) as { readonly id: TaskId }
    await before.pass(2)
    expect(tasksOf(before)).toEqual([])
    await before.lane.compact()
    const room = await before.crash(1)
    expect(await submit(room, 'a')).toEqual({ id, isNew: false })
    expect(await submit(room, 'b')).toBe('key_in_use')
    expect(await codeOf(room.tasks.outcome(id))).toBe('no_longer_retained')
    expect(await codeOf(room.tasks.find('work', id)?.result() ?? Promise.resolve())).toBe('no_longer_retained')
    expect(await room.tasks.cancel(id)).toBe('already_ended')
    expect(await codeOf(room.tasks.submit({ kind: 'work', id }))).toBe('task_already_exists')
    expect(await room.tasks.forget(id)).toBeUndefined()
    await room.pass(600)
    expect(await codeOf(room.tasks.outcome(id))).toBe('unknown_task')
    expect(await submit(room, 'b')).toMatchObject({ isNew: true })
    expectRestorable(room)
  })

  it('[T-304] keeps 10,000 tombstones without a key at most', async () => {
    const room = await openWorking({ endedForMs: 0 }, { dispatch: { concurrency: 64 } })
    const named = await room.tasks.submit('work', 'a', { key: 'named' })
    await room.pass(2)
    for (let group = 0; group < 21; group += 1) {
      await Promise.all(Array.from({ length: 500 }, () => room.tasks.submit({ kind: 'work' })))
      await room.pass(2)
    }
    expect(tasksOf(room)).toEqual([])
    expect(room.authority.projection.tombstoneCount).toBe(10_000)
    expect(await codeOf(named.outcome())).toBe('no_longer_retained')
  }, 60_000)

  it('[T-305] gives the archive every row first, again when it has failed, and keeps what it did not take', async () => {
    const archived: ArchivedTask[] = []
    let isFailing = true
    const retention: RetentionOptions = {
      endedForMs: 0,
      archive: async (rows) => {
        archived.push(...rows)
        await Promise.resolve()
        if (isFailing) throw new Error('disk full')
      },
    }
    const room = await openWorking(retention)
    const id = await room.tasks.submit({ kind: 'work', payload: 'a' })
    await room.pass(2)
    expect(tasksOf(room)).toEqual([id])
    expect(room.warnings).toEqual(['ended tasks could not be forgotten, retrying'])
    expect(await codeOf(room.tasks.forget(id))).toBeUndefined()
    isFailing = false
    await room.pass(65)
    expect(tasksOf(room)).toEqual([])
    expect(archived.map(({ taskId, isWhole }) => ({ taskId, isWhole }))).toEqual(
      Array.from({ length: 3 }, () => ({ taskId: id, isWhole: true })),
    )
    expect(archived[0]?.runs[0]?.attempts[0]?.outcome).toMatchObject({ result: 'success' })
  })

  it('[T-357] what the archive never takes keeps nothing else', async () => {
    const calls: TaskId[][] = []
    const refused = new Set<TaskId>()
    const archive = (rows: readonly ArchivedTask[]): void => {
      const taskIds = rows.map(({ taskId }) => taskId)
      calls.push(taskIds)
      if (taskIds.some((taskId) => refused.has(taskId))) throw new Error('cannot be written')
    }
    const room = await openWorking({ endedForMs: minute, archive })
    const ids: TaskId[] = []
    for (let index = 0; index < 3; index += 1) ids.push(await room.tasks.submit({ kind: 'work' }))
    const [first, second, third] = ids as [TaskId, TaskId, TaskId]
    refused.add(first)
    await room.pass(65)
    expect([tasksOf(room), calls]).toEqual([ids, [ids]])
    // One by one from now on, and less and less often.
    await room.pass(62)
    expect([tasksOf(room), calls.slice(1)]).toEqual([[first], [[first], [second], [third]]])
    await room.pass(50)
    expect(calls).toHaveLength(4)
    // Some of these are due right when the first is looked at again.
    for (let second = 0; second < 10; second += 1) {
      await room.tasks.submit({ kind: 'work' })
      await room.pass(1)
    }
    await room.pass(140)
    expect(tasksOf(room)).toEqual([first])
    expect(calls.slice(4).filter((call) => call.includes(first))).toEqual([[first]])
  })

  it('[T-358] an archive that does not answer is told of', async () => {
    const room = await openWorking({ endedForMs: 0, archive: () => new Promise(() => {}) })
    await room.tasks.submit({ kind: 'work' })
    await room.pass(50)
    expect(room.warnings).toEqual([])
    await room.pass(15)
    expect(room.warnings).toEqual(['the archive does not answer; nothing is forgotten until it does'])
  })

  it('[T-305] a crash between the archive and the forgetting archives once more', async () => {
    let count = 0
    let take: () => void = () => {}
    const archive = (): Promise<void> => {
      count += 1
      return new Promise((resolve) => (take = resolve))
    }
    const before = await openWorking({ endedForMs: 0, archive })
    const id = await before.tasks.submit({ kind: 'work' })
    await before.pass(2)
    const room = await before.crash()
    await room.settle()
    expect([count, tasksOf(room)]).toEqual([2, [id]])
    take()
    await room.settle()
    expect(tasksOf(room)).toEqual([])
  })

  it('[T-306] keeps the last runs of a repeating task, and counts the others', async () => {
    const before = await openWorking({ runs: 3 })
    const id = await before.tasks.submit({
      kind: 'work',
      runPolicy: { type: 'cron', expression: '*/10 * * * * * *', maxOccurrences: 20 },
    })
    await before.pass(105)
    const { projection } = before.authority
    const ended = projection.runsOf(id).filter(({ state }) => state === 'completed')
    expect(ended.map(({ scheduledAtMs }) => scheduledAtMs - 1_000_000_000)).toEqual([80_000, 90_000, 100_000])
    expect(projection.task(id)?.progress).toMatchObject({ runs: 16, open: 5, completed: 11, failed: 0 })
    expectRestorable(before)
    await before.lane.compact()
    const room = await before.crash(0)
    room.tasks.handle('work', () => 'done')
    await room.pass(100)
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'completed' })
    expect(room.authority.projection.task(id)?.progress).toMatchObject({ runs: 20, open: 0, completed: 20 })
    expect(room.runsOf(id)).toHaveLength(3)
    expectRestorable(room)
  })

  it('[T-307] takes what earlier runs of a repeating task have left below it, and nothing of those at work', async () => {
    const room = await openWorking({ endedForMs: minute, runs: 2 })
    const gate: { block?: Promise<void> } = {}
    room.tasks.handle('parent', async ({ submit }) => {
      await submit({ kind: 'work' })
      await gate.block
    })
    const runPolicy = { type: 'cron', expression: '* * * * *' } as const
    const parent = await room.tasks.submit({ kind: 'parent', runPolicy })
    await room.pass(600)
    expect(tasksOf(room).length).toBeLessThan(5)
    gate.block = new Promise(() => {})
    await room.pass(60)
    const [last] = [...room.authority.projection.children(parent)].slice(-1)
    await room.pass(300)
    expect(tasksOf(room)).toContain(last)
    expectRestorable(room)
  })

  it('[T-308] of very many goes in groups, between which the event loop runs', async () => {
    const room = await openWorking({ endedForMs: 5000, runs: 1000 }, { dispatch: { concurrency: 64 } })
    room.tasks.handle('root', async ({ submit }) => {
      await Promise.all(Array.from({ length: 1000 }, () => submit({ kind: 'work' })))
    })
    await room.tasks.submit({ kind: 'root' })
    const repeat = await room.tasks.submit({ kind: 'work', runPolicy: { type: 'repeat', count: 700, intervalMs: 1 } })
    await room.pass(2)
    await room.tasks.outcome(repeat)
    const groups: number[] = []
    room.authority.onCommit(({ events }) => {
      for (const event of events) {
        if (event.type === 'tasks_forgotten') groups.push(event.taskIds.length)
        if (event.type === 'runs_forgotten') groups.push(event.runIds.length)
      }
    })
    await room.pass(12)
    expect([tasksOf(room), room.authority.projection.runCount]).toEqual([[], 0])
    expect(Math.max(...groups)).toBeLessThanOrEqual(256)
    expect(groups.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(1701)
  }, 60_000)

  it('leaves no timer behind, and none when nothing is kept for a time', async () => {
    const room = await openRoom()
    await room.tasks.close(0)
    expect(room.clock.pendingTimeouts).toBe(0)
    const keeping = await openWorking({ endedForMs: minute })
    await keeping.tasks.submit({ kind: 'work' })
    await keeping.pass(1)
    expect(keeping.clock.pendingTimeouts).toBeGreaterThan(0)
    await keeping.tasks.close(0)
    expect(keeping.clock.pendingTimeouts).toBe(0)
  })
})
