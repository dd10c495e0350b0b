import { describe, expect, it } from 'vitest'
import { createDeferred } from '../../../src/base/promises.js'
import { createRun, createTaskSpec, type HandlerContext, type TaskId } from '../../../src/tasks/index.js'
import { runId, taskId } from '../support/ids.js'
import { openRoom, start, type Room } from './support/room.js'

const flat = (room: Room, ids: readonly TaskId[]): unknown => ids.flatMap((id) => room.statesOf(id))

describe('dependencies', () => {
  it('[T-91] a chain runs in order', async () => {
    const room = await openRoom({ dispatch: { concurrency: 8 } })
    const order: unknown[] = []
    room.tasks.handle('work', ({ json }) => void order.push(json()))
    const { c } = await room.tasks.submitGraph({
      c: { kind: 'work', payload: 3, dependsOn: ['b'] },
      b: { kind: 'work', payload: 2, dependsOn: ['a'] },
      a: { kind: 'work', payload: 1 },
    })
    expect(await room.tasks.outcome(c)).toMatchObject({ status: 'completed' })
    expect(order).toEqual([1, 2, 3])
  })

  it('[T-91] a failed root cancels the chain over three levels', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {
      throw new Error('no')
    })
    const { a, b, c, d } = await room.tasks.submitGraph({
      a: { kind: 'work' },
      b: { kind: 'work', dependsOn: ['a'] },
      c: { kind: 'work', dependsOn: ['b'] },
      d: { kind: 'work', dependsOn: ['c'] },
    })
    expect(await room.tasks.outcome(d)).toMatchObject({ status: 'cancelled' })
    expect(flat(room, [a, b, c])).toEqual(['failed', 'cancelled', 'cancelled'])
  })

  it('a chain of parents may be as long as the graph before it is refused in our own words', async () => {
    const room = await openRoom()
    const length = 20_000
    const graph = Object.fromEntries(
      Array.from({ length }, (_, index) => [
        `task ${index}`,
        { kind: 'work', ...(index + 1 < length && { parent: `task ${index + 1}` }) },
      ]),
    )
    await expect(room.tasks.submitGraph(graph)).rejects.toMatchObject({ code: 'depth_limit_exceeded' })
  })

  it.each([
    ['itself', { a: { kind: 'work', dependsOn: ['a'] } }],
    ['two', { a: { kind: 'work', dependsOn: ['b'] }, b: { kind: 'work', dependsOn: ['a'] } }],
    [
      'three',
      {
        a: { kind: 'work', dependsOn: ['c'] },
        b: { kind: 'work', dependsOn: ['a'] },
        c: { kind: 'work', dependsOn: ['b'] },
      },
    ],
    [
      'a diamond',
      {
        top: { kind: 'work', dependsOn: ['left', 'right'] },
        left: { kind: 'work', dependsOn: ['bottom'] },
        right: { kind: 'work', dependsOn: ['bottom'] },
        bottom: { kind: 'work', dependsOn: ['top'] },
      },
    ],
  ])('[T-91] a cycle through %s is refused and leaves no trace', async (_, graph) => {
    const room = await openRoom()
    await expect(room.tasks.submitGraph(graph as never)).rejects.toMatchObject({ code: 'dependency_cycle' })
    expect([room.authority.projection.taskCount, room.authority.projection.latestSequence]).toEqual([0, 0])
  })

  it('[T-91] refuses names that are not in the graph and parents that are each other', async () => {
    const room = await openRoom()
    const unknown = room.tasks.submitGraph({ a: { kind: 'work', dependsOn: ['z' as 'a'] } })
    await expect(unknown).rejects.toMatchObject({ code: 'unknown_task_name', data: { name: 'z', usedBy: 'a' } })
    const circular = room.tasks.submitGraph({ a: { kind: 'work', parent: 'b' }, b: { kind: 'work', parent: 'a' } })
    await expect(circular).rejects.toMatchObject({ code: 'parent_cycle' })
  })

  it('[T-92] a restart between prerequisite and dependent: the dependent runs', async () => {
    const room = await openRoom()
    const { a, b } = await room.tasks.submitGraph({ a: { kind: 'first' }, b: { kind: 'second', dependsOn: ['a'] } })
    room.tasks.handle('first', () => {})
    await room.tasks.outcome(a)
    const later = await room.crash()
    later.tasks.handle('second', () => {})
    expect(await later.tasks.outcome(b)).toMatchObject({ status: 'completed' })
  })

  it('[T-92] a dependency declared late on an eligible task blocks it until it is met', async () => {
    const room = await openRoom()
    const dependent = await room.tasks.submit({ kind: 'work' })
    await room.tasks.start()
    await room.settle()
    expect(room.statesOf(dependent)).toEqual(['ready'])
    const prerequisite = await room.tasks.submit({ kind: 'work', at: start + 10_000 })
    const declared = {
      type: 'dependency_declare',
      taskId: dependent,
      dependsOn: [prerequisite],
      atMs: start,
    } as const
    await room.authority.submit(declared)
    room.tasks.handle('work', () => {})
    await room.pass(9)
    expect(room.statesOf(dependent)).toEqual(['ready'])
    await room.pass(1)
    expect(flat(room, [prerequisite, dependent])).toEqual(['completed', 'completed'])
  })

  it('[T-92] an eligible task that has not run does not count as completed', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const b = await room.tasks.submit({ kind: 'work' })
    await room.settle()
    const c = await room.tasks.submit({ kind: 'work', dependsOn: [b] })
    await room.pass(10)
    expect(flat(room, [b, c])).toEqual(['ready', 'scheduled'])
  })

  it('a cancelled prerequisite without a completed run cancels what waits for it', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const { a, b } = await room.tasks.submitGraph({ a: { kind: 'work' }, b: { kind: 'work', dependsOn: ['a'] } })
    await room.tasks.cancel(a)
    expect(await room.tasks.outcome(b)).toMatchObject({ status: 'cancelled' })
  })
})

describe('parents and children', () => {
  it('[T-93] cancelling a parent cancels unfinished children and stops their handlers', async () => {
    const room = await openRoom()
    const stopped: unknown[] = []
    room.tasks.handle('quick', () => {})
    room.tasks.handle('slow', async ({ signal }) => {
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      stopped.push(signal.reason)
    })
    const { root, done, running, deep } = await room.tasks.submitGraph({
      root: { kind: 'never' },
      done: { kind: 'quick', parent: 'root' },
      running: { kind: 'slow', parent: 'root' },
      deep: { kind: 'quick', parent: 'running', at: start + 1_000_000 },
    })
    await room.settle()
    expect(await room.tasks.cancel(root)).toBe('cancelled')
    await room.settle()
    expect(flat(room, [root, done, running, deep])).toEqual(['cancelled', 'completed', 'cancelled', 'cancelled'])
    expect(stopped).toMatchObject([{ data: { cause: 'cancelled' } }])
    expect(await room.tasks.cancel(root)).toBe('already_cancelled')
    expect(await room.tasks.cancel(done)).toBe('already_ended')
  })

  it('[T-93] cancellation comes through a child that has ended to its own children', async () => {
    const room = await openRoom()
    room.tasks.handle('quick', () => {})
    const { root, middle, leaf } = await room.tasks.submitGraph({
      root: { kind: 'never' },
      middle: { kind: 'quick', parent: 'root' },
      leaf: { kind: 'quick', parent: 'middle', at: start + 100_000 },
    })
    await room.settle()
    await room.tasks.cancel(root)
    await room.pass(101)
    expect(flat(room, [root, middle, leaf])).toEqual(['cancelled', 'completed', 'cancelled'])
  })

  it('[T-93] a child of a finished parent is refused, and so is one nine levels down', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => {})
    const parentTaskId = await room.tasks.submit({ kind: 'work' })
    await room.tasks.outcome(parentTaskId)
    const orphan = room.tasks.submit({ kind: 'work', parentTaskId })
    await expect(orphan).rejects.toMatchObject({ code: 'orphan_prevention', data: { parentTaskId } })
    let parent = await room.tasks.submit({ kind: 'none' })
    for (let depth = 1; depth <= 8; depth += 1) parent = await room.tasks.submit({ kind: 'none', parentTaskId: parent })
    await expect(room.tasks.submit({ kind: 'none', parentTaskId: parent })).rejects.toMatchObject({
      code: 'depth_limit_exceeded',
      data: { depth: 9, limit: 8 },
    })
  })

  it('[T-94] what a handler submits has it as its parent, runs to the end, and shows in its view of children', async () => {
    const room = await openRoom()
    const views: unknown[] = []
    const children: TaskId[] = []
    const gate = createDeferred<void>()
    room.tasks.handle('child', () => gate.promise)
    room.tasks.handle('parent', async (context: HandlerContext) => {
      for (let index = 0; index < 2; index += 1) children.push(await context.submit({ kind: 'child' }))
      await room.settle()
      views.push(context.children())
      gate.resolve()
      await room.settle()
      views.push(context.children())
    })
    const parent = await room.tasks.submit({ kind: 'parent' })
    await room.tasks.outcome(parent)
    const [one, two] = children
    expect(views).toEqual([
      [
        { taskId: one, runs: ['running'], isFinished: false },
        { taskId: two, runs: ['running'], isFinished: false },
      ],
      [
        { taskId: one, runs: ['completed'], isFinished: true },
        { taskId: two, runs: ['completed'], isFinished: true },
      ],
    ])
    expect(children.map((id) => room.authority.projection.task(id)?.spec.parentTaskId)).toEqual([parent, parent])
  })

  it('[T-94] a child without runs has ended for its parent when it has for those who wait: once it is cancelled', async () => {
    const room = await openRoom()
    const child = taskId(5)
    const views: unknown[] = []
    room.tasks.handle('parent', async (context: HandlerContext) => {
      const taskSpec = createTaskSpec({ id: child, kind: 'child', parentTaskId: context.taskId })
      await room.authority.submit({ type: 'task_create', taskSpec, atMs: 1 })
      views.push(context.children())
      await room.tasks.cancel(child)
      views.push((await room.tasks.outcome(child)).status, context.children())
    })
    await room.tasks.outcome(await room.tasks.submit({ kind: 'parent' }))
    expect(views).toEqual([
      [{ taskId: child, runs: [], isFinished: false }],
      'cancelled',
      [{ taskId: child, runs: [], isFinished: true }],
    ])
  })

  it('[T-94] a refused submission of a handler leaves nothing behind', async () => {
    const room = await openRoom()
    const refusals: unknown[] = []
    room.tasks.handle('parent', async (context) => {
      await context
        .submit({ kind: 'child', dependsOn: [taskId(77)] })
        .catch((refusal: unknown) => refusals.push(refusal))
    })
    await room.tasks.outcome(await room.tasks.submit({ kind: 'parent' }))
    expect(refusals).toMatchObject([{ code: 'unknown_task', data: { taskId: taskId(77) } }])
    expect(room.authority.projection.taskCount).toBe(1)
  })
})

describe('cancellation', () => {
  it('[T-100] runs of a cancelled task never start, even with a crash between the cancel and its runs', async () => {
    const room = await openRoom()
    await room.tasks.start()
    const { root, child } = await room.tasks.submitGraph({
      root: { kind: 'work' },
      child: { kind: 'work', parent: 'root', at: start + 5000 },
    })
    await room.settle()
    // The bare command, as another host may submit it; nothing else becomes durable before the crash.
    const cancelled = room.authority.submit({ type: 'task_cancel', taskId: root, atMs: start })
    await cancelled
    const later = await room.crash(100)
    let calls = 0
    later.tasks.handle('work', () => {
      calls += 1
    })
    await later.pass(10)
    expect([calls, flat(later, [root, child])]).toEqual([0, ['cancelled', 'cancelled']])
    expect(await later.tasks.outcome(child)).toMatchObject({ status: 'cancelled' })
  })

  it('[T-195] one run of several can be cancelled; waiting for the task goes on', async () => {
    const room = await openRoom()
    const policy = { type: 'repeat', count: 3, intervalMs: 10_000 } as const
    const id = await room.tasks.submit({ kind: 'work', runPolicy: policy })
    room.tasks.handle('work', () => 'ok')
    const [first, second] = room.runsOf(id)
    expect(await room.tasks.cancelRun(second?.id as never)).toBe('cancelled')
    expect(await room.tasks.cancelRun(second?.id as never)).toBe('already_cancelled')
    const outcome = room.tasks.outcome(id)
    await room.pass(20)
    expect((await outcome).runs.map(({ state }) => state)).toEqual(['completed', 'cancelled', 'completed'])
    expect(await room.tasks.cancelRun(first?.id as never)).toBe('already_ended')
    await expect(room.tasks.cancelRun(runId(99))).rejects.toMatchObject({ code: 'unknown_run' })
    await expect(room.tasks.cancel(taskId(99))).rejects.toMatchObject({ code: 'unknown_task' })
  })

  it('[T-203] what waits for an outcome can give up, and nobody waits for what is unknown', async () => {
    const room = await openRoom()
    const id = await room.tasks.submit({ kind: 'work' })
    const giveUp = new AbortController()
    const waiting = room.tasks.outcome(id, { signal: giveUp.signal })
    giveUp.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    await expect(room.tasks.outcome(taskId(99))).rejects.toMatchObject({ code: 'unknown_task' })
  })
})

describe('a task of another host', () => {
  it('[T-172] runs when its runs are created by bare commands', async () => {
    const room = await openRoom()
    room.tasks.handle('work', () => 'ok')
    const id = taskId(1)
    await room.authority.submitBatch([
      { type: 'task_create', taskSpec: createTaskSpec({ id, kind: 'work' }), atMs: start },
      {
        type: 'run_create',
        runInstance: createRun({ id: runId(1), taskId: id, createdAtMs: start, scheduledAtMs: start }),
      },
    ])
    expect(await room.tasks.outcome(id)).toMatchObject({ status: 'completed' })
  })

  it('[T-203] of a cancelled task without runs is cancelled, for those who wait and for those who ask later', async () => {
    const room = await openRoom()
    const id = taskId(1)
    const taskSpec = createTaskSpec({ id, kind: 'work' })
    await room.authority.submit({ type: 'task_create', taskSpec, atMs: start })
    const waiting = room.tasks.outcome(id)
    await room.tasks.cancel(id)
    expect(await waiting).toEqual({ taskId: id, status: 'cancelled', reason: 'cancelled', runs: [] })
    expect(await room.tasks.outcome(id)).toEqual({ taskId: id, status: 'cancelled', reason: 'cancelled', runs: [] })
  })
})
