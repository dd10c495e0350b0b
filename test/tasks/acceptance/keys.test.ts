import { describe, expect, it } from 'vitest'
import { suspend, type ConcurrencyKeyHoldPolicy, type TaskId } from '../../../src/tasks/index.js'
import { Bench, leftovers, nothingLeft, openService, type Service, type ServiceOptions } from './support.js'

interface Rivals {
  readonly service: Service
  readonly bench: Bench
  readonly first: TaskId
  readonly second: TaskId
}

/** Two tasks with one key; the first runs, and its handler waits to be answered. */
async function openRivals(policy: ConcurrencyKeyHoldPolicy, options: ServiceOptions = {}): Promise<Rivals> {
  const service = await openService(options)
  const bench = new Bench()
  service.tasks.handle('work', bench.handler)
  const constraints = { concurrencyKey: 'k', concurrencyKeyHoldPolicy: policy, maxAttempts: 2 }
  const first = await service.tasks.submit({ kind: 'work', constraints })
  const second = await service.tasks.submit({ kind: 'work', constraints })
  await service.settle()
  expect(bench.calls.map(({ context }) => context.taskId)).toEqual([first])
  return { service, bench, first, second }
}

describe('concurrency keys', () => {
  it('[T-84] two runs with one key never overlap', async () => {
    const service = await openService({ dispatch: { concurrency: 8 } })
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    for (let task = 0; task < 6; task += 1) {
      await service.tasks.submit({ kind: 'work', constraints: { concurrencyKey: 'k' } })
    }
    for (let call = 0; call < 6; call += 1) {
      await service.settle()
      expect(bench.calls).toHaveLength(call + 1)
      bench.last.answer()
    }
    await service.settle()
    expect(bench.mostRunning).toBe(1)
    expect(service.projection.countIn('completed')).toBe(6)
  })

  it('[T-84] runs of one task share its key too', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const runPolicy = { type: 'repeat', count: 3, intervalMs: 1000 } as const
    await service.tasks.submit({ kind: 'work', runPolicy, constraints: { concurrencyKey: 'k' } })
    await service.pass(5)
    expect(bench.calls).toHaveLength(1)
    bench.call(0).answer()
    await service.settle()
    expect(bench.calls).toHaveLength(2)
    expect(bench.mostRunning).toBe(1)
  })

  it('[T-84] runs with different keys may overlap, and one that waits for its key takes no slot', async () => {
    const service = await openService({ dispatch: { concurrency: 2 } })
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const submit = (concurrencyKey: string) => service.tasks.submit({ kind: 'work', constraints: { concurrencyKey } })
    const a = await submit('a')
    await submit('a')
    const b = await submit('b')
    await service.settle()
    expect(bench.calls.map(({ context }) => context.taskId)).toEqual([a, b])
    expect(bench.mostRunning).toBe(2)
  })

  it('[T-84] failure releases the key', async () => {
    const { service, bench, first, second } = await openRivals('hold_during_retry')
    bench.call(0).fail(new Error('once'))
    await service.pass(5)
    expect(bench.calls.map(({ context }) => context.taskId)).toEqual([first, first])
    bench.call(1).fail(new Error('twice'))
    await service.settle()
    expect(service.statesOf(first)).toEqual(['failed'])
    expect(bench.calls.map(({ context }) => context.taskId)).toEqual([first, first, second])
  })

  it('[T-84] cancellation releases the key', async () => {
    const { service, bench, first, second } = await openRivals('hold_during_retry')
    bench.call(0).context.signal.addEventListener('abort', () => bench.call(0).answer())
    await service.tasks.cancel(first)
    await service.settle()
    expect(bench.last.context.taskId).toBe(second)
    expect(bench.mostRunning).toBe(1)
  })

  it('[T-85] a run that waits for a retry keeps its key under hold_during_retry', async () => {
    const { service, bench, first, second } = await openRivals('hold_during_retry')
    bench.call(0).fail(new Error('once'))
    await service.pass(4)
    expect(service.statesOf(first)).toEqual(['retry_wait'])
    expect(service.statesOf(second)).toEqual(['ready'])
    await service.pass(1)
    expect(bench.last.context.taskId).toBe(first)
  })

  it('[T-85] a run that waits for a retry frees its key under release_on_retry', async () => {
    const { service, bench, first, second } = await openRivals('release_on_retry')
    bench.call(0).fail(new Error('once'))
    await service.settle()
    expect(bench.last.context.taskId).toBe(second)
    await service.pass(10)
    expect(service.statesOf(first)).toEqual(['ready'])
    bench.last.answer()
    await service.settle()
    expect(bench.last.context.taskId).toBe(first)
    expect(bench.mostRunning).toBe(1)
  })

  it('[T-85] a suspended run keeps its key under hold_during_retry', async () => {
    const { service, bench, first, second } = await openRivals('hold_during_retry')
    bench.call(0).answer(suspend())
    await service.pass(10)
    expect(service.statesOf(first)).toEqual(['suspended'])
    expect(service.statesOf(second)).toEqual(['ready'])
    await service.tasks.resume(service.run(first).id)
    await service.settle()
    expect(bench.last.context.taskId).toBe(first)
    bench.last.answer()
    await service.settle()
    expect(bench.last.context.taskId).toBe(second)
    expect(bench.mostRunning).toBe(1)
  })

  it('[T-85] a suspended run frees its key under release_on_retry, and waits for it when it is resumed', async () => {
    const { service, bench, first, second } = await openRivals('release_on_retry')
    bench.call(0).answer(suspend())
    await service.settle()
    expect(bench.last.context.taskId).toBe(second)
    await service.tasks.resume(service.run(first).id)
    await service.pass(1)
    expect(service.statesOf(first)).toEqual(['ready'])
    bench.last.answer()
    await service.settle()
    expect(bench.last.context.taskId).toBe(first)
    expect(bench.mostRunning).toBe(1)
  })

  describe('across a restart', () => {
    it('[T-86] a suspended run keeps its key under hold_during_retry', async () => {
      const rivals = await openRivals('hold_during_retry')
      rivals.bench.call(0).answer(suspend())
      await rivals.service.settle()
      const service = await rivals.service.crash({ seconds: 60 })
      const bench = new Bench()
      service.tasks.handle('work', bench.handler)
      await service.pass(10)
      expect(bench.calls).toEqual([])
      await service.tasks.resume(service.run(rivals.first).id)
      await service.settle()
      expect(bench.calls.map(({ context }) => context.taskId)).toEqual([rivals.first])
      bench.last.answer()
      await service.settle()
      expect(bench.last.context.taskId).toBe(rivals.second)
    })

    it('[T-86] a suspended run frees its key under release_on_retry', async () => {
      // Paused, so that nobody else takes the key before the crash.
      const rivals = await openRivals('release_on_retry')
      await rivals.service.tasks.pauseEngine()
      rivals.bench.call(0).answer(suspend())
      await rivals.service.settle()
      const service = await rivals.service.crash()
      const bench = new Bench()
      service.tasks.handle('work', bench.handler)
      await service.tasks.resumeEngine()
      await service.settle()
      expect(bench.calls.map(({ context }) => context.taskId)).toEqual([rivals.second])
    })

    it.each(['hold_during_retry', 'release_on_retry'] as const)(
      '[T-86] a run that waits for a retry treats its key by its policy (%s)',
      async (policy) => {
        const rivals = await openRivals(policy)
        await rivals.service.tasks.pauseEngine()
        rivals.bench.call(0).fail(new Error('once'))
        await rivals.service.settle()
        const service = await rivals.service.crash()
        const bench = new Bench()
        service.tasks.handle('work', bench.handler)
        await service.tasks.resumeEngine()
        await service.pass(1)
        const expected = policy === 'hold_during_retry' ? [] : [rivals.second]
        expect(bench.calls.map(({ context }) => context.taskId)).toEqual(expected)
      },
    )

    it('[T-86] a run that was running keeps its key for its next attempt', async () => {
      const rivals = await openRivals('hold_during_retry')
      const service = await rivals.service.crash()
      const bench = new Bench()
      service.tasks.handle('work', bench.handler)
      await service.pass(1)
      expect(bench.calls.map(({ context }) => context.taskId)).toEqual([rivals.first])
      bench.last.answer()
      await service.settle()
      bench.last.answer()
      await service.settle()
      expect(bench.mostRunning).toBe(1)
      expect(leftovers(service)).toEqual(nothingLeft)
    })
  })

  it('[T-87] a run with a key and one attempt is suspended, resumed and completed', async () => {
    const service = await openService()
    const bench = new Bench()
    service.tasks.handle('work', bench.handler)
    const taskId = await service.tasks.submit({ kind: 'work', constraints: { maxAttempts: 1, concurrencyKey: 'k' } })
    await service.settle()
    bench.last.answer(suspend('half'))
    await service.settle()
    await service.tasks.resume(service.run(taskId).id)
    await service.settle()
    bench.last.answer('whole')
    const outcome = await service.tasks.outcome(taskId)
    expect(outcome).toMatchObject({ status: 'completed', runs: [{ attempts: 2 }] })
    expect(bench.calls).toHaveLength(2)
  })
})
