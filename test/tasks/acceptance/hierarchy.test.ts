import { describe, expect, it } from 'vitest'
import { suspend, type ChildView, type TaskId } from '../../../src/tasks/index.js'
import { Bench, codeOf, leftovers, nothingLeft, openService, openWithBench, start } from './support.js'

describe('cancelling a parent', () => {
  it('[T-93] cancels its unfinished children and theirs, and leaves alone what has ended', async () => {
    const service = await openService()
    service.tasks.handle('quick', () => 'done')
    const parent = await service.tasks.submit({ kind: 'never' })
    const finished = await service.tasks.submit({ kind: 'quick', parentTaskId: parent })
    const waiting = await service.tasks.submit({ kind: 'never', parentTaskId: parent })
    const below = await service.tasks.submit({ kind: 'never', parentTaskId: waiting, at: start + 1_000_000 })
    await service.tasks.outcome(finished)
    expect(await service.tasks.cancel(parent)).toBe('cancelled')
    expect(await service.tasks.outcome(below)).toMatchObject({ status: 'cancelled' })
    expect(await service.tasks.outcome(waiting)).toMatchObject({ status: 'cancelled' })
    expect(await service.tasks.outcome(finished)).toMatchObject({ status: 'completed' })
    await service.settle()
    expect(service.projection.task(finished)?.cancelledAtMs).toBeUndefined()
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-93] really stops the handlers of its children', async () => {
    const { service, bench } = await openWithBench()
    const parent = await service.tasks.submit({ kind: 'never' })
    const child = await service.tasks.submit({ kind: 'work', parentTaskId: parent, constraints: { maxAttempts: 5 } })
    const grandchild = await service.tasks.submit({ kind: 'work', parentTaskId: child })
    await service.settle()
    await service.tasks.cancel(parent)
    await service.settle()
    expect(bench.calls).toHaveLength(2)
    for (const { context } of bench.calls) {
      expect(context.signal.reason).toMatchObject({ code: 'attempt_aborted', data: { cause: 'cancelled' } })
    }
    expect(service.statesOf(child)).toEqual(['cancelled'])
    expect(service.statesOf(grandchild)).toEqual(['cancelled'])
    bench.call(0).answer('too late')
    await service.pass(10)
    expect(service.statesOf(child)).toEqual(['cancelled'])
    expect(bench.calls).toHaveLength(2)
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-204] [T-93] answers what it met, and calling again settles to nothing', async () => {
    const { service, bench } = await openWithBench()
    const cancelled = await service.tasks.submit({ kind: 'never' })
    expect(await service.tasks.cancel(cancelled)).toBe('cancelled')
    expect(await service.tasks.cancel(cancelled)).toBe('already_cancelled')
    const completed = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    bench.last.answer()
    await service.tasks.outcome(completed)
    expect(await service.tasks.cancel(completed)).toBe('already_ended')
    expect(await codeOf(service.tasks.cancel('00000001-0000-4000-8000-000000000001' as TaskId))).toBe('unknown_task')
    await service.settle()
    const sequence = service.projection.latestSequence
    await service.tasks.cancel(cancelled)
    await service.settle()
    expect(service.projection.latestSequence).toBe(sequence)
  })

  it('[T-93] goes on after a crash that came between parent and children', async () => {
    const before = await openService()
    const parent = await before.tasks.submit({ kind: 'work' })
    const child = await before.tasks.submit({ kind: 'work', parentTaskId: parent })
    const grandchild = await before.tasks.submit({ kind: 'work', parentTaskId: child })
    await before.tasks.cancel(parent)
    const service = await before.crash()
    expect(service.statesOf(grandchild)).toEqual(['scheduled'])
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    expect(await service.tasks.outcome(grandchild)).toMatchObject({ status: 'cancelled' })
    await service.pass(5)
    expect(bench.calls).toEqual([])
    expect(leftovers(service)).toEqual(nothingLeft)
  })
})

describe('a child', () => {
  it('[T-93] of a parent that has ended is refused', async () => {
    const { service, bench } = await openWithBench()
    const parent = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    bench.last.answer()
    await service.tasks.outcome(parent)
    const tasks = service.projection.taskCount
    const child = service.tasks.submit({ kind: 'work', parentTaskId: parent })
    await expect(child).rejects.toMatchObject({ code: 'orphan_prevention', data: { parentTaskId: parent } })
    expect(service.projection.taskCount).toBe(tasks)
  })

  it('[T-93] of a cancelled or an unknown parent is refused', async () => {
    const service = await openService()
    const cancelled = await service.tasks.submit({ kind: 'never' })
    await service.tasks.cancel(cancelled)
    const stranger = '00000001-0000-4000-8000-000000000001' as TaskId
    expect(await codeOf(service.tasks.submit({ kind: 'work', parentTaskId: cancelled }))).toBe('orphan_prevention')
    expect(await codeOf(service.tasks.submit({ kind: 'work', parentTaskId: stranger }))).toBe('orphan_prevention')
  })

  it('[T-93] deeper than eight levels is refused with depth and limit', async () => {
    const service = await openService()
    let parentTaskId = await service.tasks.submit({ kind: 'never' })
    for (let depth = 1; depth <= 8; depth += 1) {
      parentTaskId = await service.tasks.submit({ kind: 'never', parentTaskId })
    }
    const tooDeep = service.tasks.submit({ kind: 'never', parentTaskId })
    await expect(tooDeep).rejects.toMatchObject({ code: 'depth_limit_exceeded', data: { depth: 9, limit: 8 } })
    expect(service.projection.taskCount).toBe(9)
  })
})

describe('a handler', () => {
  it('[T-94] submits children that run to the end, and sees how they are', async () => {
    const service = await openService({ dispatch: { concurrency: 8 } })
    const bench = new Bench()
    const views: (readonly ChildView[])[] = []
    const children: TaskId[] = []
    service.tasks.handle('child', bench.handler)
    service.tasks.handle('parent', async ({ submit, children: view }) => {
      views.push(view())
      for (const payload of ['one', 'two']) children.push(await submit({ kind: 'child', payload, at: start + 10_000 }))
      views.push(view())
      await Promise.all(children.map((id) => service.tasks.outcome(id)))
      views.push(view())
    })
    const parent = await service.tasks.submit({ kind: 'parent' })
    await service.pass(10)
    expect(bench.calls.map(({ context }) => context.task.parentTaskId)).toEqual([parent, parent])
    bench.call(0).answer()
    bench.call(1).fail(new Error('broken'))
    expect(await service.tasks.outcome(parent)).toMatchObject({ status: 'completed' })
    const [first, second] = children as [TaskId, TaskId]
    expect(views).toEqual([
      [],
      [
        { taskId: first, runs: ['scheduled'], isFinished: false },
        { taskId: second, runs: ['scheduled'], isFinished: false },
      ],
      [
        { taskId: first, runs: ['completed'], isFinished: true },
        { taskId: second, runs: ['failed'], isFinished: true },
      ],
    ])
  })

  it('[T-94] that waits suspended finds its children when it is resumed, also after a restart', async () => {
    const before = await openService()
    let child: TaskId | undefined
    before.tasks.handle('parent', async ({ submit }) => {
      child = await submit({ kind: 'child' })
      return suspend()
    })
    const parent = await before.tasks.submit({ kind: 'parent' })
    await before.settle()
    const service = await before.crash()
    let view: readonly ChildView[] = []
    service.tasks.handle('parent', ({ children }) => void (view = children()))
    service.tasks.handle('child', () => 'done')
    await service.settle()
    await service.tasks.resume(service.run(parent).id)
    await service.tasks.outcome(parent)
    expect(view).toEqual([{ taskId: child, runs: ['completed'], isFinished: true }])
  })

  it('[T-94] whose submission is refused leaves no task behind', async () => {
    const { service, bench } = await openWithBench()
    const parent = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    const { submit } = bench.last.context
    const stranger = '00000001-0000-4000-8000-000000000001' as TaskId
    expect(await codeOf(submit({ kind: 'work', dependsOn: [stranger] }))).toBe('unknown_task')
    expect(await codeOf(submit({ kind: 'work', budgets: { 'No Dimension': 1 } }))).toBe('invalid_budget_dimension')
    expect(service.projection.taskCount).toBe(1)
    bench.last.answer()
    await service.tasks.outcome(parent)
    expect(await codeOf(submit({ kind: 'work' }))).not.toBe('no rejection')
    expect(service.projection.taskCount).toBe(1)
  })
})

describe('a cancelled task', () => {
  it('[T-100] starts no run, even with a crash between the cancellation and that of its runs', async () => {
    const before = await openService()
    const bench = new Bench()
    await before.tasks.start()
    const runPolicy = { type: 'repeat', count: 4, intervalMs: 10_000 } as const
    const taskId = await before.tasks.submit({ kind: 'work', runPolicy })
    await before.pass(15)
    expect(before.statesOf(taskId).toSorted()).toEqual(['ready', 'ready', 'scheduled', 'scheduled'])
    // The power goes with the mark on the task; its runs stay as they were.
    before.tasks.authority.onCommit(() => before.store.crash())
    await before.tasks.authority.submit({ type: 'task_cancel', taskId, atMs: start + 15_000 })

    const service = await before.crash({ seconds: 30 })
    expect(service.statesOf(taskId).toSorted()).toEqual(['ready', 'ready', 'scheduled', 'scheduled'])
    service.tasks.handle('work', bench.handler)
    await service.pass(60)
    expect(bench.calls).toEqual([])
    expect(service.statesOf(taskId)).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled'])
  })

  it('[T-100] resumes and retries nothing, even with a crash in between', async () => {
    const before = await openService()
    const bench = new Bench()
    before.tasks.handle('work', bench.handler)
    const constraints = { maxAttempts: 5 }
    const taskIds = [
      await before.tasks.submit({ kind: 'work', constraints }),
      await before.tasks.submit({ kind: 'work', constraints }),
      await before.tasks.submit({ kind: 'work', constraints }),
    ]
    await before.settle()
    bench.call(0).fail(new Error('broken'))
    bench.call(1).answer(suspend())
    await before.settle()
    expect(taskIds.flatMap((id) => before.statesOf(id))).toEqual(['retry_wait', 'suspended', 'running'])
    const cancels = taskIds.map((taskId) => ({ type: 'task_cancel', taskId, atMs: start }) as const)
    before.tasks.authority.onCommit(() => before.store.crash())
    await before.tasks.authority.submitBatch(cancels)

    const service = await before.crash({ seconds: 30 })
    const later = new Bench()
    service.tasks.handle('work', later.handler)
    await service.pass(60)
    expect(later.calls).toEqual([])
    expect(taskIds.flatMap((id) => service.statesOf(id))).toEqual(['cancelled', 'cancelled', 'cancelled'])
    expect(leftovers(service)).toEqual(nothingLeft)
  })

  it('[T-195] is not the same as a cancelled run: the others go on', async () => {
    const { service, bench } = await openWithBench()
    const runPolicy = { type: 'repeat', count: 3, intervalMs: 10_000 } as const
    const taskId = await service.tasks.submit({ kind: 'work', runPolicy })
    await service.settle()
    const { runId } = bench.last.context
    expect(await service.tasks.cancelRun(runId)).toBe('cancelled')
    expect(await service.tasks.cancelRun(runId)).toBe('already_cancelled')
    expect(bench.last.context.signal.reason).toMatchObject({ data: { cause: 'cancelled' } })
    await service.pass(20)
    expect(bench.calls).toHaveLength(3)
    for (const call of bench.calls) call.answer()
    const outcome = await service.tasks.outcome(taskId)
    expect(outcome.status).toBe('completed')
    expect(outcome.runs.map(({ state }) => state).toSorted()).toEqual(['cancelled', 'completed', 'completed'])
    expect(await service.tasks.cancelRun(bench.last.context.runId)).toBe('already_ended')
  })
})
