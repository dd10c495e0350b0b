import { describe, expect, it } from 'vitest'
import { suspend } from '../../../src/tasks/index.js'
import { Bench, codeOf, leftovers, nothingLeft, openService, openWithBench, textOf } from './support.js'

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  const first = await Promise.race([promise.catch(() => {}), Promise.resolve(pending)])
  return first !== pending
}

describe('closing by retiring', () => {
  it('[T-199] lets attempts end, starts nothing more, and closes as soon as the last has ended', async () => {
    const { service, bench } = await openWithBench({ dispatch: { concurrency: 1 } })
    const running = await service.tasks.submit({ kind: 'work' })
    const waiting = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    const closing = service.runtime.close({ policy: 'retire', graceMs: 10_000 })
    await service.pass(5)
    expect(bench.last.context.signal.aborted).toBe(false)
    expect(await isSettled(closing)).toBe(false)
    bench.last.answer('in time')
    await closing
    expect(bench.calls).toHaveLength(1)

    const next = await service.crash()
    expect([next.statesOf(running), next.statesOf(waiting)]).toEqual([['completed'], ['ready']])
    expect(textOf((await next.tasks.outcome(running)).output)).toBe('in time')
  })

  it('lets an attempt record what it spends and submits until it has ended', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', budgets: { token: 10 } })
    await service.settle()
    const { budget, submit } = bench.last.context
    const closing = service.runtime.close({ graceMs: 10_000 })
    await service.settle()
    await (await budget.reserve('token', 4)).settle(3)
    const child = await submit({ kind: 'work' })
    bench.last.answer()
    await closing
    const next = await service.crash()
    expect([...next.projection.budgetsOf(taskId)]).toMatchObject([{ consumed: 3, reserved: 0 }])
    expect(next.statesOf(child)).toHaveLength(1)
    expect(next.statesOf(taskId)).toEqual(['completed'])
  })

  it('[T-199] after the grace period tells attempts to stop; they go on in the next process, at no cost', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 1 } })
    await service.settle()
    const { context, answer } = bench.last
    context.signal.addEventListener('abort', () => answer(suspend('so far')))
    const closing = service.runtime.close({ policy: 'retire', graceMs: 3000 })
    await service.pass(2)
    expect(context.signal.aborted).toBe(false)
    await service.pass(1)
    await closing
    expect(context.signal.reason).toMatchObject({ code: 'attempt_aborted', data: { cause: 'shutdown' } })

    const next = await service.crash()
    expect(next.statesOf(taskId)).toEqual(['suspended'])
    const later = new Bench()
    next.tasks.handle('work', later.handler)
    await next.settle()
    expect(later.last.context).toMatchObject({ runId: context.runId, attemptNumber: 1 })
    expect(textOf(later.last.context.resumeFrom)).toBe('so far')
    later.last.answer()
    expect(await next.tasks.outcome(taskId)).toMatchObject({ status: 'completed' })
  })

  it('[T-200] does not resume in the next process what was suspended for another reason', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    bench.last.answer(suspend())
    await service.settle()
    await service.runtime.close()
    const next = await service.crash()
    next.tasks.handle('work', bench.handler)
    await next.pass(10)
    expect(next.statesOf(taskId)).toEqual(['suspended'])
  })
})

describe('closing by terminating', () => {
  it('tells attempts to stop at once, and puts aside those that do not listen', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    const closing = service.runtime.close({ policy: 'terminate' })
    await service.settle()
    service.clock.advance(0)
    await service.settle()
    expect(bench.last.context.signal.aborted).toBe(true)
    service.clock.advance(250)
    await service.settle()
    await closing
    const next = await service.crash()
    expect(next.statesOf(taskId)).toEqual(['suspended'])
    next.tasks.handle('work', bench.handler)
    await next.settle()
    expect(bench.calls).toHaveLength(2)
  })
})

describe('whatever the policy, closing', () => {
  it.each(['retire', 'terminate'] as const)('[T-201] by %s leaves nothing behind', async (policy) => {
    const { service, bench } = await openWithBench({ dispatch: { backoff: { type: 'fixed', delayMs: 60_000 } } })
    await service.tasks.submit({ kind: 'work', at: 1_000_500_000 })
    await service.tasks.submit({ kind: 'work', runPolicy: { type: 'cron', expression: '0 0 * * * * *' } })
    await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    const slow = await service.tasks.submit({ kind: 'work', constraints: { timeoutMs: 900_000 } })
    await service.settle()
    bench.call(0).fail(new Error('broken'))
    const waiting = service.tasks.outcome(slow)
    await service.settle()
    const closing = service.runtime.close({ policy, graceMs: 2000 })
    await service.pass(4)
    await closing
    expect(service.clock.pendingTimeouts).toBe(0)
    expect(leftovers(service)).toMatchObject({ leases: 0, reservations: 0 })
    expect(await codeOf(waiting)).toBe('channel_closed')
    expect(await codeOf(service.tasks.submit({ kind: 'work' }))).toBe('lane_closed')
    expect(() => service.tasks.handle('other', () => {})).toThrow(expect.objectContaining({ code: 'runtime_closed' }))
    expect(await codeOf(service.tasks.start())).toBe('runtime_closed')
    // The journal is free for the next.
    const { journal } = await service.store.open()
    await journal.close()
  })

  it('[T-201] needs no time when nothing was ever dispatched', async () => {
    const service = await openService()
    await service.tasks.submit({ kind: 'work' })
    await service.runtime.close()
    expect(service.clock.pendingTimeouts).toBe(0)
  })

  it('[T-166] while the engine is paused ends as usual, and the engine stays paused', async () => {
    const { service, bench } = await openWithBench()
    const taskId = await service.tasks.submit({ kind: 'work' })
    await service.settle()
    expect(await service.tasks.pauseEngine()).toBe('paused')
    expect(await service.tasks.pauseEngine()).toBe('already_paused')
    const other = await service.tasks.submit({ kind: 'work' })
    const closing = service.runtime.close({ graceMs: 2000 })
    await service.settle()
    bench.last.answer()
    await closing
    const next = await service.crash()
    next.tasks.handle('work', bench.handler)
    await next.pass(5)
    expect([next.statesOf(taskId), next.statesOf(other)]).toEqual([['completed'], ['scheduled']])
    expect(await next.tasks.resumeEngine()).toBe('resumed')
    expect(await next.tasks.resumeEngine()).toBe('already_resumed')
    await next.settle()
    bench.last.answer()
    expect(await next.tasks.outcome(other)).toMatchObject({ status: 'completed' })
    expect(leftovers(next)).toEqual(nothingLeft)
  })

  it('is safe right after the first handler', async () => {
    const { service, bench } = await openWithBench()
    await service.tasks.submit({ kind: 'work' })
    const closing = service.runtime.close({ policy: 'terminate' })
    await service.pass(1)
    await closing
    expect(service.clock.pendingTimeouts).toBe(0)
    expect(leftovers(service)).toMatchObject({ leases: 0 })
    expect(bench.running).toBeLessThanOrEqual(1)
  })
})

describe('while a runtime is open', () => {
  it('[T-166] a paused engine starts nothing, not even what is decided right after the pause', async () => {
    const service = await openService()
    await service.tasks.start()
    const taskId = await service.tasks.submit({ kind: 'work' })
    const running = await service.tasks.submit({ kind: 'other' })
    const others = new Bench()
    service.tasks.handle('other', others.handler)
    await service.settle()
    const paused = service.tasks.pauseEngine()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    await paused
    await service.pass(5)
    expect(bench.calls).toEqual([])
    // What runs goes on.
    others.last.answer()
    expect(await service.tasks.outcome(running)).toMatchObject({ status: 'completed' })
    await service.tasks.resumeEngine()
    await service.settle()
    bench.last.answer()
    expect(await service.tasks.outcome(taskId)).toMatchObject({ status: 'completed' })
  })

  it('every attempt shows as a job until it ends', async () => {
    const { service, bench } = await openWithBench()
    await service.tasks.submit({ kind: 'work', metadata: { description: 'Read the news' } })
    await service.settle()
    const { jobs } = service.runtime
    expect(jobs.list()).toMatchObject([{ room: 'tasks', displayName: 'Read the news', state: 'working' }])
    bench.last.answer('done')
    await service.settle()
    expect(jobs.list()).toEqual([])
  })
})
