import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { completed, idOf, openFixture, refusal, refusalOf, turnId, specOf, stateOf } from './support/registry.js'

describe('a watch', () => {
  it('[O-51] taken after the end resolves at once with the stored outcome', async () => {
    const { operations, finish } = await openFixture()
    await finish(1)
    expect(await stateOf(operations.registerWatcher(idOf(1)))).toEqual(completed(1))
  })

  it('[O-53] whose session goes away rejects with channel_closed: that is no outcome', async () => {
    const { operations, session, run } = await openFixture()
    await run([1])
    const watch = operations.registerWatcher(idOf(1))
    session.dispose()
    expect(await refusal(watch)).toEqual({ code: 'channel_closed', id: idOf(1) })
    expect(await refusal(operations.registerWatcher(idOf(1)))).toEqual({ code: 'channel_closed', id: idOf(1) })
  })

  it('[O-52] is one of three: all receive the outcome, in the order they were taken', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1])
    const order: number[] = []
    const watches = [1, 2, 3].map(async (number) => {
      const outcome = await operations.registerWatcher(idOf(1))
      order.push(number)
      return outcome
    })
    expect(operations.snapshot(idOf(1))?.watcherCount).toBe(3)
    await complete(1)
    expect(await Promise.all(watches)).toEqual([completed(1), completed(1), completed(1)])
    expect(order).toEqual([1, 2, 3])
    expect(operations.snapshot(idOf(1))?.watcherCount).toBe(0)
  })

  it('may begin while the operation is being set up', async () => {
    const { operations } = await openFixture()
    await operations.registerOperation(specOf(1))
    const watch = operations.registerWatcher(idOf(1))
    await operations.abortProvisioning(idOf(1))
    expect(await watch).toEqual({ type: 'aborted', reason: null })
  })

  it('[O-54] of an unknown, evicted or collected id is refused at once', async () => {
    const { operations, finish } = await openFixture({ maxCompleted: 1 })
    await finish(1)
    await finish(2)
    await operations.collectCompleted()
    for (const number of [1, 2, 9]) {
      expect(refusalOf(() => operations.registerWatcher(idOf(number)))).toEqual({ code: 'not_found', id: idOf(number) })
    }
  })

  it('[O-55] is given up by its signal: it is not counted any more and leaves no listener', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1])
    const controller = new AbortController()
    const watch = operations.registerWatcher(idOf(1), { signal: controller.signal })
    const other = operations.registerWatcher(idOf(1), { signal: controller.signal })
    const kept = operations.registerWatcher(idOf(1))
    expect(operations.snapshot(idOf(1))?.watcherCount).toBe(3)
    controller.abort(new Error('enough'))
    await expect(watch).rejects.toThrow('enough')
    await expect(other).rejects.toThrow('enough')
    expect(operations.snapshot(idOf(1))?.watcherCount).toBe(1)
    await complete(1)
    expect(await kept).toEqual(completed(1))
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  it('costs the same to give up however many watch', { timeout: 15_000 }, async () => {
    const { operations, run } = await openFixture()
    await run([1])
    const controllers = Array.from({ length: 40_000 }, () => new AbortController())
    const watches = controllers.map(({ signal }) => operations.registerWatcher(idOf(1), { signal }))
    // Newest first: going through the watches for each would take minutes.
    for (const controller of controllers.slice(20_000).toReversed()) controller.abort(new Error('enough'))
    expect(operations.snapshot(idOf(1))?.watcherCount).toBe(20_000)
    await operations.cancelOperation(idOf(1))
    const ends = await Promise.allSettled(watches)
    expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(20_000)
  })

  it('shares one listener with every other wait on its signal: Node warns of a leak at eleven', async () => {
    const { operations, session, run } = await openFixture()
    await run([1])
    const controller = new AbortController()
    const { signal } = controller
    const waits = Array.from({ length: 20 }, () => [
      operations.registerWatcher(idOf(1), { signal }),
      session.feed.waitForAdvance(0, { signal }),
      session.feed.entries({ signal }).next(),
    ]).flat()
    const subscriptions = Array.from({ length: 20 }, () =>
      session.feed.observe({ signal }).subscribe({ error: () => {} }),
    )
    const wait = operations.waitAll(turnId, [idOf(1)], { signal })
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    controller.abort(new Error('enough'))
    const ends = await Promise.allSettled([...waits, wait.result])
    expect(new Set(ends.map((end) => end.status === 'rejected' && (end.reason as Error).message))).toEqual(
      new Set(['enough']),
    )
    expect(subscriptions.every(({ closed }) => closed)).toBe(true)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('leaves no listener on its signal after the end either', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1])
    const { signal } = new AbortController()
    const watch = operations.registerWatcher(idOf(1), { signal })
    await complete(1)
    await watch
    await Promise.resolve()
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('with an aborted signal never begins', async () => {
    const { operations, run } = await openFixture()
    await run([1])
    const signal = AbortSignal.abort(new Error('too late'))
    await expect(operations.registerWatcher(idOf(1), { signal })).rejects.toThrow('too late')
    expect(operations.snapshot(idOf(1))?.watcherCount).toBe(0)
  })

  it('never runs its consumer inside the transition', async () => {
    const { operations, run, complete } = await openFixture()
    await run([1])
    let seen: string | undefined
    const consume = async (): Promise<void> => {
      await operations.registerWatcher(idOf(1))
      seen = operations.snapshot(idOf(1))?.status
    }
    const consumer = consume()
    const completion = complete(1)
    expect(seen).toBeUndefined()
    await completion
    await consumer
    expect(seen).toBe('completed')
  })
})
