import { describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { settleReactions } from '../lane/support/scripted-journal.js'
import { openFixture, refusal, stateOf } from '../operations/support/registry.js'
import { createRecordingLogger } from './support/log.js'
import { job, startWork } from '../operations/support/work.js'

async function openWithStore() {
  const store = createMemoryJournal()
  const logger = createRecordingLogger()
  const fixture = await openFixture({}, { store, logger })
  return { ...fixture, store, logger }
}

describe('an end that the journal refuses', () => {
  it('is offered again until it is taken: no completion is lost to a full disk', async () => {
    const { session, runtime, clock, store, logger } = await openWithStore()
    const { outcome, result } = await startWork(session)
    await runtime.flush()
    store.failNext('write')
    result.resolve('done')
    await logger.written(1)
    expect(logger.lines[0]).toMatchObject({ level: 'warn', message: expect.stringContaining('retrying') })
    expect(session.feed.watermark()).toBe(0)
    expect(await stateOf(outcome)).toBe('pending')
    store.failNext('write')
    clock.advance(100)
    await logger.written(2)
    clock.advance(199)
    expect(await stateOf(outcome)).toBe('pending')
    clock.advance(1)
    expect(await outcome).toMatchObject({ type: 'completed', result: { content: 'done' } })
    expect(session.feed.since(0).entries).toHaveLength(1)
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('is offered at least every five seconds', async () => {
    const { session, runtime, clock, store, logger } = await openWithStore()
    const { outcome, result } = await startWork(session)
    await runtime.flush()
    store.failNext('write')
    result.resolve('done')
    const delays = [100, 200, 400, 800, 1600, 3200, 5000, 5000]
    for (const [index, delay] of delays.entries()) {
      await logger.written(index + 1)
      if (index < delays.length - 1) store.failNext('write')
      clock.advance(delay)
    }
    expect(await outcome).toMatchObject({ type: 'completed' })
  })

  it('because the journal is poisoned is taken after reopening', async () => {
    const { session, runtime, clock, store, logger } = await openWithStore()
    const { outcome, result } = await startWork(session)
    await runtime.flush()
    store.failNext('sync')
    result.resolve('done')
    // The lane says that it is poisoned, the execution that it will try again.
    await logger.written(2)
    clock.advance(100)
    await logger.written(3)
    expect(await stateOf(outcome)).toBe('pending')
    await runtime.reopen()
    clock.advance(200)
    expect(await outcome).toMatchObject({ type: 'completed' })
    expect(session.feed.since(0).entries).toHaveLength(1)
  })

  it('stays what it was: a deadline that passed is not overtaken by the result', async () => {
    const { session, runtime, clock, store, logger } = await openWithStore()
    const { outcome, result } = await startWork(session, { deadlineMs: 10 })
    await runtime.flush()
    store.failNext('write')
    clock.advance(10)
    await logger.written(1)
    result.resolve('too late')
    await settleReactions()
    clock.advance(100)
    expect(await outcome).toEqual({ type: 'failed', error: 'deadline of 10 ms exceeded', reason: 'deadline' })
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('is not offered any more once the operation was ended by somebody else', async () => {
    const { session, runtime, clock, store, logger } = await openWithStore()
    const { outcome, cancel, result } = await startWork(session)
    await runtime.flush()
    store.failNext('write')
    result.resolve('done')
    await logger.written(1)
    await cancel('given up')
    expect(await outcome).toEqual({ type: 'cancelled', reason: 'given up' })
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('gives way to a cancellation under way, and takes its place when that is refused', async () => {
    const { session, runtime, clock, store, logger } = await openWithStore()
    const { outcome, cancel, result } = await startWork(session)
    await runtime.flush()
    store.failNext('write')
    const cancelled = refusal(cancel())
    result.resolve('done')
    expect(await cancelled).toMatchObject({ code: 'lane_not_appended' })
    await logger.written(1)
    clock.advance(100)
    expect(await outcome).toMatchObject({ type: 'completed', result: { content: 'done' } })
  })

  it('for its size fails the operation, saying so', async () => {
    const { session } = await openWithStore()
    const { outcome } = session.run(job, () => 'x'.repeat(33 * 2 ** 20))
    expect(await outcome).toMatchObject({
      type: 'failed',
      error: expect.stringContaining('the end does not fit the journal'),
    })
  })
})

describe('a task behind a registry that broke', () => {
  it('has its handle reject instead of waiting forever', async () => {
    const { session, logger } = await openWithStore()
    const { outcome, result } = await startWork(session)
    session.history.core.actor.send({ type: 'fault', cause: 'for the test' })
    result.resolve('done')
    expect(await refusal(outcome)).toMatchObject({ code: 'internal' })
    expect(logger.lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'an operation was abandoned' }),
    )
  })
})
