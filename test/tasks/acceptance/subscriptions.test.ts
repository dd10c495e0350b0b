import { describe, expect, it } from 'vitest'
import { Bench, openService, openWithBench } from './support.js'

describe('a subscription', () => {
  const farAhead = { kind: 'work', at: 1_010_000_000 }

  it('[T-90] to a completion promotes a run that is scheduled 10 000 seconds ahead', async () => {
    const { service, bench } = await openWithBench()
    const first = await service.tasks.submit({ kind: 'work' })
    const releasedBy = [{ type: 'task_completed', taskId: first } as const]
    const second = await service.tasks.submit({ ...farAhead, releasedBy })
    await service.pass(5)
    expect(service.statesOf(second)).toEqual(['scheduled'])
    bench.last.answer()
    await service.settle()
    expect(bench.last.context.taskId).toBe(second)
  })

  it('[T-90] to a completion does not hear of a failure', async () => {
    const { service, bench } = await openWithBench()
    const first = await service.tasks.submit({ kind: 'work' })
    const second = await service.tasks.submit({ ...farAhead, releasedBy: [{ type: 'task_completed', taskId: first }] })
    await service.settle()
    bench.last.fail(new Error('broken'))
    await service.pass(5)
    expect(service.statesOf(first)).toEqual(['failed'])
    expect(service.statesOf(second)).toEqual(['scheduled'])
  })

  it('[T-90] to a threshold of 80 percent fires at 400 of 500, not at 399', async () => {
    const { service, bench } = await openWithBench()
    const spender = await service.tasks.submit({ kind: 'work', budgets: { token: 500 } })
    const subscribed = await service.tasks.submit(farAhead)
    const dimension = [...service.projection.budgetsOf(spender)][0]?.dimension
    if (dimension === undefined) throw new Error('no budget')
    const filter = { type: 'budget_threshold', taskId: spender, dimension, thresholdPercent: 80 } as const
    await service.tasks.subscribe(subscribed, filter)
    await service.settle()
    const { budget } = bench.last.context
    await (await budget.reserve('token', 399)).settle(399)
    await service.settle()
    expect(service.statesOf(subscribed)).toEqual(['scheduled'])
    await (await budget.reserve('token', 1)).settle(1)
    await service.settle()
    expect(bench.last.context.taskId).toBe(subscribed)
  })

  it('[T-90] to an event of the service releases one run, the earliest, and once', async () => {
    const { service, bench } = await openWithBench()
    const runPolicy = { type: 'repeat', count: 3, intervalMs: 100_000 } as const
    const taskId = await service.tasks.submit({ ...farAhead, runPolicy, releasedBy: [{ type: 'custom', key: 'go' }] })
    expect(await service.tasks.publish('stay')).toBe(0)
    expect(await service.tasks.publish('go')).toBe(1)
    expect(await service.tasks.publish('go')).toBe(0)
    await service.pass(5)
    expect(bench.calls).toHaveLength(1)
    expect(service.projection.run(bench.last.context.runId)?.scheduledAtMs).toBe(1_010_000_000)
    expect(service.statesOf(taskId).filter((state) => state === 'scheduled')).toHaveLength(2)
  })

  it('[T-90] that re-arms releases a run with every event, and stops when it is cancelled', async () => {
    const { service, bench } = await openWithBench()
    const runPolicy = { type: 'repeat', count: 3, intervalMs: 100_000 } as const
    const taskId = await service.tasks.submit({ ...farAhead, runPolicy })
    const subscriptionId = await service.tasks.subscribe(taskId, { type: 'custom', key: 'go' }, { rearm: true })
    expect(await service.tasks.publish('go')).toBe(1)
    await service.settle()
    expect(await service.tasks.publish('go')).toBe(1)
    await service.settle()
    expect(bench.calls).toHaveLength(2)
    await service.tasks.unsubscribe(subscriptionId)
    expect(await service.tasks.publish('go')).toBe(0)
  })

  it('[T-90] that was triggered before a crash releases its run after it, and then never again', async () => {
    const before = await openService()
    const runPolicy = { type: 'repeat', count: 2, intervalMs: 100_000 } as const
    const taskId = await before.tasks.submit({ ...farAhead, runPolicy, releasedBy: [{ type: 'custom', key: 'go' }] })
    await before.tasks.publish('go')
    const service = await before.crash()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await service.settle()
    expect(bench.calls).toHaveLength(1)
    bench.last.answer()
    await service.settle()
    const again = await service.crash()
    const later = new Bench()
    again.tasks.handle('work', later.handler)
    await again.pass(5)
    expect(later.calls).toEqual([])
    expect(again.statesOf(taskId).toSorted()).toEqual(['completed', 'scheduled'])
  })
})
