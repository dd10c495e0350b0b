import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.js'
import { createUuidSource } from '../../src/base/ids.js'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { createRuntime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { openRuntime, refusal, refusalOf } from '../operations/support/registry.js'
import { job, startWork } from '../operations/support/work.js'

describe('a clock that breaks', () => {
  it('is refused when the runtime is opened, before the journal is', async () => {
    const store = { open: () => Promise.reject(new Error('opened')) }
    const clock = { ...systemClock, wallNow: () => Number.NaN }
    expect(await refusal(createRuntime({ clock, store }))).toMatchObject({ code: 'invalid_input', field: 'wallNow' })
  })

  it('lets nothing begin, and everything end', async () => {
    const simulated = new SimulatedClock()
    let isBroken = false
    const clock = {
      wallNow: () => (isBroken ? Number.NaN : simulated.wallNow()),
      monotonicNow: () => (isBroken ? -1 : simulated.monotonicNow()),
      setTimeout: (callback: () => void, delay: number) => simulated.setTimeout(callback, delay),
      clearTimeout: (handle: unknown) => simulated.clearTimeout(handle),
    }
    const runtime = await openRuntime({ clock, store: createMemoryJournal() })
    const session = runtime.session('owner')
    const running = await startWork(session)
    simulated.advance(7)
    isBroken = true
    const refused = { code: 'invalid_input', subject: 'clock' }
    expect(await refusal(session.run(job, () => 'never').outcome)).toMatchObject(refused)
    expect(await refusal(runtime.tasks.submit({ kind: 'work' }))).toMatchObject(refused)
    running.result.resolve('done')
    expect(await running.outcome).toMatchObject({ type: 'completed', result: { content: 'done' } })
    expect(session.operations.listOperations()).toHaveLength(1)
    isBroken = false
    expect(await session.run(job, () => 'again').outcome).toMatchObject({ type: 'completed' })
  })
})

describe('a source of ids that breaks', () => {
  it.each([
    ['repeats itself', (ids: () => string) => ids],
    ['is no text', () => () => 5 as unknown as string],
  ])('%s: nothing begins', async (_, breaking) => {
    const source = createUuidSource({ now: () => 0 })
    let uuid = (): string => source.uuid()
    const runtime = await openRuntime({ ids: { uuid: () => uuid() } })
    const session = runtime.session('owner')
    const last = source.uuid()
    uuid = () => last
    session.run(job, () => {})
    uuid = breaking(() => last)
    const refused = { code: 'invalid_input', subject: 'id source', field: 'uuid' }
    expect(refusalOf(() => session.run(job, () => {}))).toMatchObject(refused)
    expect(await refusal(runtime.tasks.submit({ kind: 'work' }))).toMatchObject(refused)
    expect(refusalOf(() => runtime.session('another'))).toMatchObject(refused)
    expect([...runtime.sessions()].map(({ id }) => id)).toEqual(['owner'])
    expect(session.operations.listOperations()).toHaveLength(1)
  })
})

describe('a store that is not ours', () => {
  it.each([
    ['rejects', () => Promise.reject(new RangeError('out of order'))],
    ['opens nothing', () => Promise.resolve(undefined)],
  ])('that %s leaves an error of ours', async (_, open) => {
    const failure = await refusal(createRuntime({ store: { open: open as never } }))
    expect(failure).toMatchObject({ code: 'journal_io', operation: 'open' })
  })

  it('that fails later does so too', async () => {
    const store = createMemoryJournal()
    const failing = {
      async open() {
        const opened = await store.open()
        const fail = () => Promise.reject(new TypeError('broken'))
        return {
          ...opened,
          journal: Object.assign(Object.create(opened.journal), { append: fail, compact: fail, close: fail }),
        }
      },
    }
    const runtime = await createRuntime({ store: failing })
    expect(await refusal(runtime.close())).toMatchObject({ code: 'journal_io', operation: 'close' })
  })
})

describe('a deadline', () => {
  it('may be longer than a timer of Node keeps', async () => {
    const clock = new SimulatedClock()
    const deadlineMs = 2 ** 31 + 1000
    const runtime = await openRuntime({ clock })
    const { outcome, context } = await startWork(runtime.session('owner'), { deadlineMs })
    clock.advance(2 ** 31 + 999)
    expect(context.signal.aborted).toBe(false)
    clock.advance(1)
    expect(await outcome).toEqual({
      type: 'failed',
      error: `deadline of ${deadlineMs} ms exceeded`,
      reason: 'deadline',
    })
  })
})

describe('a payload that is no JSON', () => {
  it('fails the attempt in our own words', async () => {
    const runtime = await openRuntime()
    runtime.tasks.handle('work', ({ json }) => json())
    const { runs } = await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work', payload: '{' }))
    expect(runs[0]).toMatchObject({ error: expect.stringMatching(/^invalid task payload: \$: not JSON: /) })
  })
})
