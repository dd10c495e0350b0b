import { describe, expect, it } from 'vitest'
import type { SubmitInput, TaskId } from '../../../src/tasks/index.js'
import { Bench, codeOf, openService, type Service } from './support.js'

/** A service whose one kind of task says who ran, and fails for those whose payload says so. */
async function openWithJournal(): Promise<{ readonly service: Service; readonly ran: TaskId[] }> {
  const service = await openService()
  const ran: TaskId[] = []
  service.tasks.handle('work', ({ taskId, payload }) => {
    ran.push(taskId)
    if (Buffer.from(payload).toString() === 'fail') throw new Error('as told')
  })
  return { service, ran }
}

const work = (dependsOn: readonly TaskId[] = [], more: Partial<SubmitInput> = {}): SubmitInput => ({
  kind: 'work',
  dependsOn,
  ...more,
})

describe('a graph of tasks', () => {
  it('[T-91] that is a line runs in order', async () => {
    const { service, ran } = await openWithJournal()
    const { a, b, c, d } = await service.tasks.submitGraph({
      d: { kind: 'work', dependsOn: ['c'], metadata: { priority: 9 } },
      c: { kind: 'work', dependsOn: ['b'] },
      a: { kind: 'work' },
      b: { kind: 'work', dependsOn: ['a'] },
    })
    expect(await service.tasks.outcome(d)).toMatchObject({ status: 'completed' })
    expect(ran).toEqual([a, b, c, d])
  })

  it('[T-91] waits for every prerequisite', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const { left, right, joined } = await service.tasks.submitGraph({
      left: { kind: 'work' },
      right: { kind: 'work' },
      joined: { kind: 'work', dependsOn: ['left', 'right'] },
    })
    await service.settle()
    expect(bench.calls.map(({ context }) => context.taskId).toSorted()).toEqual([left, right].toSorted())
    bench.call(0).answer()
    await service.pass(5)
    expect(bench.calls).toHaveLength(2)
    bench.call(1).answer()
    await service.settle()
    expect(bench.last.context.taskId).toBe(joined)
  })

  it('[T-91] is cancelled over three levels when its root fails, and what stands beside it is not', async () => {
    const { service, ran } = await openWithJournal()
    const ids = await service.tasks.submitGraph({
      root: { kind: 'work', payload: 'fail' },
      first: { kind: 'work', dependsOn: ['root'] },
      second: { kind: 'work', dependsOn: ['first'] },
      third: { kind: 'work', dependsOn: ['second'] },
      beside: { kind: 'work' },
    })
    const outcomes = await Promise.all(Object.values(ids).map((id) => service.tasks.outcome(id)))
    expect(outcomes.map(({ status }) => status)).toEqual(['failed', 'cancelled', 'cancelled', 'cancelled', 'completed'])
    expect(ran.toSorted()).toEqual([ids.root, ids.beside].toSorted())
  })

  it('[T-91] is cancelled over three levels when its root is cancelled', async () => {
    const service = await openService()
    const ids = await service.tasks.submitGraph({
      root: { kind: 'work' },
      first: { kind: 'work', dependsOn: ['root'] },
      second: { kind: 'work', dependsOn: ['first'] },
      third: { kind: 'work', dependsOn: ['second'] },
    })
    await service.tasks.start()
    expect(await service.tasks.cancel(ids.root)).toBe('cancelled')
    expect(await service.tasks.outcome(ids.third)).toMatchObject({ status: 'cancelled' })
  })

  it('[T-91] below a root that failed stays cancelled when a crash comes before the cancellation', async () => {
    const before = await openService()
    before.tasks.handle('work', () => {
      throw new Error('broken')
    })
    // The power goes with the commit of the failure: nothing that follows from it becomes durable.
    before.tasks.authority.onCommit(({ events }) => {
      if (events.some((event) => event.type === 'attempt_ended' && event.newState === 'failed')) before.store.crash()
    })
    const { root, leaf } = await before.tasks.submitGraph({
      root: { kind: 'work' },
      middle: { kind: 'work', dependsOn: ['root'] },
      leaf: { kind: 'work', dependsOn: ['middle'] },
    })
    await before.settle()
    const service = await before.crash()
    expect(service.statesOf(root)).toEqual(['failed'])
    expect(service.statesOf(leaf)).toEqual(['scheduled'])
    await service.tasks.start()
    expect(await service.tasks.outcome(leaf)).toMatchObject({ status: 'cancelled' })
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
        top: { kind: 'work', dependsOn: ['bottom'] },
        left: { kind: 'work', dependsOn: ['top'] },
        right: { kind: 'work', dependsOn: ['top'] },
        bottom: { kind: 'work', dependsOn: ['left', 'right'] },
      },
    ],
  ])('[T-91] with a cycle through %s is refused and leaves no trace', async (_, graph) => {
    const service = await openService()
    expect(await codeOf(service.tasks.submitGraph<string>(graph))).toBe('dependency_cycle')
    expect(service.projection.taskCount).toBe(0)
    expect(service.projection.latestSequence).toBe(0)
    expect((await service.crash()).projection.latestSequence).toBe(0)
  })

  it('[T-91] that is a diamond without a cycle is fine', async () => {
    const { service, ran } = await openWithJournal()
    const { top, bottom } = await service.tasks.submitGraph({
      top: { kind: 'work' },
      left: { kind: 'work', dependsOn: ['top'] },
      right: { kind: 'work', dependsOn: ['top'] },
      bottom: { kind: 'work', dependsOn: ['left', 'right'] },
    })
    await service.tasks.outcome(bottom)
    expect(ran).toHaveLength(4)
    expect([ran[0], ran[3]]).toEqual([top, bottom])
  })

  it('[T-91] refuses a cycle that is closed later, and says through whom', async () => {
    const service = await openService()
    const { a, b } = await service.tasks.submitGraph({ a: { kind: 'work' }, b: { kind: 'work', dependsOn: ['a'] } })
    const sequence = service.projection.latestSequence
    const closing = { type: 'dependency_declare', taskId: a, dependsOn: [b], atMs: 1_000_000 } as const
    await expect(service.tasks.authority.submit(closing)).rejects.toMatchObject({
      code: 'dependency_cycle',
      data: { taskId: a, cycleThrough: b },
    })
    expect(service.projection.latestSequence).toBe(sequence)
  })

  it('[T-91] refuses a name that is not in it, or a task that is not there, and leaves no trace', async () => {
    const service = await openService()
    const graph = { a: { kind: 'work', dependsOn: ['nobody'] } }
    expect(await codeOf(service.tasks.submitGraph<string>(graph))).toBe('unknown_task_name')
    const stranger = '00000001-0000-4000-8000-000000000001' as TaskId
    expect(await codeOf(service.tasks.submit(work([stranger])))).toBe('unknown_task')
    expect(service.projection.taskCount).toBe(0)
  })
})

describe('a prerequisite', () => {
  it('[T-92] that completed before a restart lets its dependent run after it', async () => {
    const before = await openService()
    const bench = new Bench()
    before.tasks.handle('work', bench.handler)
    const first = await before.tasks.submit(work())
    const second = await before.tasks.submit(work([first]))
    await before.settle()
    // The power goes with the commit of the completion.
    before.tasks.authority.onCommit(() => {
      if (before.statesOf(first)[0] === 'completed') before.store.crash()
    })
    bench.last.answer()
    await before.settle()
    const service = await before.crash()
    expect([service.statesOf(first), service.statesOf(second)]).toEqual([['completed'], ['scheduled']])
    const later = new Bench()
    service.tasks.handle('work', later.handler)
    await service.settle()
    expect(later.calls.map(({ context }) => context.taskId)).toEqual([second])
  })

  it('[T-92] that is declared late blocks a task that was eligible already', async () => {
    const service = await openService()
    await service.tasks.start()
    const late = await service.tasks.submit(work())
    const eligible = await service.tasks.submit(work())
    await service.settle()
    expect(service.statesOf(eligible)).toEqual(['ready'])
    const declaration = {
      type: 'dependency_declare',
      taskId: eligible,
      dependsOn: [late],
      atMs: 1_000_000,
    } as const
    await service.tasks.authority.submit(declaration)
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await service.pass(5)
    expect(bench.calls.map(({ context }) => context.taskId)).toEqual([late])
    bench.last.answer()
    await service.settle()
    expect(bench.last.context.taskId).toBe(eligible)
  })

  it('[T-92] that is declared before a start is decided blocks it, also while neither is durable', async () => {
    const service = await openService()
    await service.tasks.start()
    const late = await service.tasks.submit({ kind: 'nobody handles this' })
    const eligible = await service.tasks.submit(work())
    await service.settle()
    const declaration = {
      type: 'dependency_declare',
      taskId: eligible,
      dependsOn: [late],
      atMs: 1_000_000,
    } as const
    const declared = service.tasks.authority.submit(declaration)
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await declared
    await service.pass(5)
    expect(bench.calls).toEqual([])
  })

  it('[T-92] that is eligible but has not completed still blocks', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const first = await service.tasks.submit(work())
    const second = await service.tasks.submit({ kind: 'nobody handles this yet', dependsOn: [first] })
    await service.settle()
    bench.last.answer()
    await service.settle()
    expect(service.statesOf(second)).toEqual(['ready'])
    const third = await service.tasks.submit(work([second]))
    await service.pass(5)
    expect(service.statesOf(third)).toEqual(['scheduled'])
    const restarted = await service.crash()
    restarted.tasks.handle('work', bench.handler)
    await restarted.pass(5)
    expect(restarted.statesOf(third)).toEqual(['scheduled'])
    restarted.tasks.handle('nobody handles this yet', () => 'now')
    await restarted.settle()
    expect(bench.last.context.taskId).toBe(third)
  })

  it('[T-194] with several runs is satisfied when all have ended and one completed', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const runPolicy = { type: 'repeat', count: 2, intervalMs: 1000 } as const
    const first = await service.tasks.submit(work([], { runPolicy }))
    const second = await service.tasks.submit(work([first]))
    await service.pass(1)
    expect(bench.calls).toHaveLength(2)
    bench.call(0).answer()
    await service.pass(1)
    expect(service.statesOf(second)).toEqual(['scheduled'])
    bench.call(1).fail(new Error('broken'))
    await service.settle()
    expect(bench.last.context.taskId).toBe(second)
  })
})
