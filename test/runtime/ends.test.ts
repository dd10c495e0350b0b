import { describe, expect, it, vi } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { openFixture, openRuntime, turnId } from '../operations/support/registry.js'
import { tamperWithWait } from '../operations/support/tamper.js'
import { strangeThrows, unsayableResults } from '../support/thrown.js'
import { unhandledDuring } from '../support/unhandled.js'
import { createRecordingLogger } from './support/log.js'
import { job, startWork } from '../operations/support/work.js'

describe('the end of an operation is not lost', () => {
  it.each(strangeThrows)('when its work throws %s', async (_, make, error) => {
    const { session, operations } = await openFixture({}, { store: createMemoryJournal() })
    const thrown = session.run(job, () => {
      throw make()
    })
    const rejected = session.run(job, async () => {
      throw make()
    })
    const { outcomes } = await session.waitAll(turnId, [thrown.id, rejected.id])
    expect(outcomes.map(({ outcome }) => outcome)).toEqual([
      { type: 'failed', error, reason: 'threw', cause: expect.objectContaining({ message: error }) },
      { type: 'failed', error, reason: 'threw', cause: expect.objectContaining({ message: error }) },
    ])
    expect(operations.snapshot(thrown.id)?.status).toBe('failed')
  })

  it.each(unsayableResults)('when its result is %s', async (_, make, reason) => {
    const { session } = await openFixture()
    expect(await session.run(job, make).outcome).toEqual({
      type: 'failed',
      error: expect.stringContaining(reason),
      reason: 'refused',
      cause: expect.objectContaining({ name: 'InvalidInputError', code: 'invalid_input' }),
    })
  })

  it('[O-162] when its result is bytes, which come out as they went in', async () => {
    const { session } = await openFixture({}, { store: createMemoryJournal() })
    const operation = session.run(job, () => new Uint8Array([0, 1, 255]))
    expect(await operation.result()).toEqual(new Uint8Array([0, 1, 255]))
    expect(await operation.outcome).toMatchObject({ type: 'completed', result: { content: '{"$bytes":"AAH/"}' } })
  })

  it('when its result is more bytes than the journal takes: it fails, and says why', async () => {
    const { session } = await openFixture({}, { store: createMemoryJournal() })
    const bytes = new Uint8Array(64 * 1024 * 1024)
    expect(await session.run(job, () => bytes).outcome).toMatchObject({
      type: 'failed',
      reason: 'refused',
      error: expect.stringContaining('the end does not fit the journal'),
    })
  })

  it('when the registry refuses it for what it is: it fails, and says why', async () => {
    const logger = createRecordingLogger()
    const { session, operations } = await openFixture({}, { logger })
    vi.spyOn(operations, 'completeOperation').mockRejectedValue(new TypeError('no such thing'))
    expect(await session.run(job, () => 'done').outcome).toEqual({
      type: 'failed',
      error: 'the end was refused: no such thing',
      reason: 'refused',
      cause: expect.objectContaining({ name: 'TypeError', message: 'no such thing' }),
    })
    expect(logger.lines).toMatchObject([{ level: 'error', message: 'an end was refused' }])
  })

  it('when it can be recorded in no way: the handle says so instead of waiting for ever', async () => {
    const { session, operations } = await openFixture()
    const refused = vi.spyOn(operations, 'failOperation').mockRejectedValue(new TypeError('no such thing'))
    vi.spyOn(operations, 'completeOperation').mockRejectedValue(new TypeError('no such thing'))
    await expect(session.run(job, () => 'done').outcome).rejects.toThrow('no such thing')
    expect(refused).toHaveBeenCalledTimes(2)
  })

  it('when a broken barrier refuses it: the barrier is gone with the refusal, and the result stands', async () => {
    const fixture = await openFixture()
    const { id, outcome, result } = await startWork(fixture.session)
    const wait = fixture.operations.waitAll(turnId, [id])
    tamperWithWait(fixture, { turnId: undefined })
    result.resolve('done')
    expect(await outcome).toMatchObject({ type: 'completed', result: { content: 'done' } })
    await expect(wait.result).rejects.toMatchObject({ code: 'internal' })
  })

  it('when the clock breaks while its work runs', async () => {
    const clock = new SimulatedClock()
    const { session } = await openFixture({}, { clock })
    const now = vi.spyOn(clock, 'monotonicNow')
    const { outcome, result } = await startWork(session)
    now.mockReturnValueOnce(Number.NaN)
    result.resolve('done')
    expect(await outcome).toMatchObject({ type: 'completed', result: { content: 'done', durationMs: 0 } })
  })

  it('when a journal of the host rejects with what has no text', async () => {
    const store = createMemoryJournal()
    const { journal, recovery } = await store.open()
    let refuses = false
    const append: typeof journal.append = (records) => {
      if (!refuses) return journal.append(records)
      refuses = false
      return Promise.reject(Object.assign(new Error('x'), { message: Object.create(null) }))
    }
    const strange = new Proxy(journal, {
      get: (target, key) => {
        const value: unknown = key === 'append' ? append : Reflect.get(target, key, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const clock = new SimulatedClock()
    const runtime = await openRuntime({ clock, store: { open: async () => ({ journal: strange, recovery }) } })
    const { outcome, result } = await startWork(runtime.session('owner'))
    await runtime.flush()
    refuses = true
    result.resolve('done')
    await expect.poll(() => runtime.health).toEqual({ status: 'poisoned', cause: '{}' })
    await runtime.reopen()
    clock.advance(100)
    expect(await outcome).toMatchObject({ type: 'completed' })
  })
})

describe('after a runtime was closed', () => {
  it('whoever asks is answered: outcomes, advances, iterations', async () => {
    const runtime = await openRuntime()
    const { feed } = runtime.session('owner')
    const advance = feed.waitForAdvance(0)
    const iteration = feed.entries().next()
    const task = await runtime.tasks.submit({ kind: 'nobody handles this' })
    const asked = runtime.tasks.outcome(task)
    await runtime.close()
    await expect(advance).rejects.toMatchObject({ code: 'channel_closed' })
    await expect(feed.waitForAdvance(0)).rejects.toMatchObject({ code: 'channel_closed' })
    expect(await iteration).toEqual({ done: true, value: undefined })
    await expect(asked).rejects.toMatchObject({ code: 'channel_closed' })
    await expect(runtime.tasks.outcome(task)).rejects.toMatchObject({ code: 'channel_closed' })
  })

  it('the outcome of a task that has ended is still told', async () => {
    const runtime = await openRuntime()
    runtime.tasks.handle('work', () => 'done')
    const task = await runtime.tasks.submit({ kind: 'work' })
    await runtime.tasks.outcome(task)
    await runtime.close()
    expect(await runtime.tasks.outcome(task)).toMatchObject({ status: 'completed' })
  })

  it('closing ends although every handler threw what has no text, and nothing is left unhandled', async () => {
    const clock = new SimulatedClock()
    const unhandled = await unhandledDuring(async () => {
      const runtime = await openRuntime({ clock, store: createMemoryJournal() })
      const { tasks } = runtime
      for (const [name, make] of strangeThrows) {
        tasks.handle(name, () => {
          throw make()
        })
        await tasks.submit({ kind: name, constraints: { maxAttempts: 3 } })
      }
      await expect.poll(() => [...tasks.projection.runsIn('retry_wait')].length).toBe(strangeThrows.length)
      await runtime.close()
    })
    expect(unhandled).toEqual([])
    expect(clock.pendingTimeouts).toBe(0)
  })
})
