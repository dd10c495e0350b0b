import { describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import { createRuntime } from '../../src/runtime.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { fixtureOf, idOf, openRuntime, refusal, refusalOf, specOf, start } from '../operations/support/registry.js'
import { createRecordingLogger } from './support/log.js'
import { job, startWork } from '../operations/support/work.js'

describe('the sessions of a runtime', () => {
  it('[O-128] are the same instance for the same name, under the limit that was asked for last', async () => {
    const runtime = await openRuntime()
    const session = runtime.session('one', { maxConcurrent: 1 })
    await session.operations.registerOperation(specOf(1))
    expect(await refusal(session.operations.registerOperation(specOf(2)))).toMatchObject({ limit: 1 })
    expect(runtime.session('one', { maxConcurrent: 2 })).toBe(session)
    await session.operations.registerOperation(specOf(2))
    expect(runtime.session('one')).toBe(session)
    expect(await refusal(session.operations.registerOperation(specOf(3)))).toMatchObject({ limit: 2 })
  })

  it.each(['from the journal', 'from a snapshot'])('keep a changed limit over a restart, %s', async (from) => {
    const store = createMemoryJournal()
    const first = await createRuntime({ store })
    first.session('one', { maxConcurrent: 1 })
    first.session('one', { maxConcurrent: 3 })
    first.session('one', { maxConcurrent: 2 })
    await first.flush()
    if (from === 'from a snapshot') await first.compact()
    await first.close()
    const { operations } = (await openRuntime({ store })).session('one')
    await operations.registerOperation(specOf(1))
    await operations.registerOperation(specOf(2))
    expect(await refusal(operations.registerOperation(specOf(3)))).toMatchObject({ limit: 2 })
  })

  it('say so when a retention is asked for that they were not made with', async () => {
    const logger = createRecordingLogger()
    const runtime = await openRuntime({ logger })
    runtime.session('one', { maxCompleted: 2 })
    runtime.session('one', { maxCompleted: 2 })
    expect(logger.lines).toEqual([])
    runtime.session('one', { maxCompleted: 7 })
    expect(logger.lines.map(({ level, fields }) => [level, fields])).toEqual([
      ['warn', { sessionId: 'one', asked: 7, kept: 2 }],
    ])
  })

  it('have an epoch each, and are listed in the order they were made', async () => {
    const runtime = await openRuntime()
    const names = ['b', 'a', 'c']
    const epochs = names.map((name) => runtime.session(name).epochId)
    expect(new Set(epochs).size).toBe(3)
    expect([...runtime.sessions()].map(({ id }) => id)).toEqual(names)
  })

  it.each([[''], [' \t'], ['a\nb'], ['\u0000'], ['x'.repeat(257)], [undefined], [7]])(
    'have names that can be shown: %j is refused everywhere',
    async (name) => {
      const runtime = await openRuntime()
      const bad = { code: 'invalid_input', subject: 'session name', field: '$' }
      expect(refusalOf(() => runtime.session(name as string))).toMatchObject(bad)
      expect(await refusal(runtime.deleteSession(name as string))).toMatchObject(bad)
      expect(await refusal(runtime.importSession(name as string, {}))).toMatchObject(bad)
      expect([...runtime.sessions()]).toEqual([])
    },
  )

  it.each(['x'.repeat(256), ' padded ', '__proto__', 'constructor', '\ud800', '☃/..'])(
    'may have any other name, and it comes back: %j',
    async (name) => {
      const store = createMemoryJournal()
      const first = await createRuntime({ store })
      const { epochId } = first.session(name)
      await first.close()
      const second = await openRuntime({ store })
      expect([...second.sessions()].map((session) => [session.id, session.epochId])).toEqual([[name, epochId]])
    },
  )

  it('run beside one another over one journal, many of them', async () => {
    const store = createMemoryJournal()
    const runtime = await createRuntime({ store })
    const names = Array.from({ length: 50 }, (_, index) => `session ${index}`)
    const outcomes = names.flatMap((name) =>
      [1, 2, 3].map(
        (number) => runtime.session(name).run({ ...job, id: idOf(number) }, () => `${name} ${number}`).outcome,
      ),
    )
    await Promise.all(outcomes)
    await runtime.close()
    const recovered = await openRuntime({ store })
    for (const name of names) {
      const { entries } = recovered.session(name).feed.since(0)
      expect(entries.map(({ outcome }) => outcome.type === 'completed' && outcome.result.content)).toEqual(
        [1, 2, 3].map((number) => `${name} ${number}`),
      )
    }
  })
})

describe('a runtime', () => {
  it('takes a directory or a store, not both', async () => {
    const options = { dataDir: 'somewhere', store: createMemoryJournal() }
    expect(await refusal(createRuntime(options))).toMatchObject({ code: 'invalid_input', field: 'store' })
  })

  it('goes on in every session after a failed sync and reopening, and keeps what was durable', async () => {
    const store = createMemoryJournal()
    const clock = new SimulatedClock(start)
    const runtime = await createRuntime({ store, clock })
    const one = fixtureOf(runtime, clock, 'one')
    const two = fixtureOf(runtime, clock, 'two')
    await one.finish(1)
    await two.run([1, 2])
    await runtime.flush()
    store.failNext('sync')
    const failed = [refusal(two.complete(1)), refusal(two.complete(2))]
    expect((await Promise.all(failed)).map((failure) => (failure as { code: string }).code)).toEqual([
      'lane_durability_unknown',
      'lane_poisoned',
    ])
    const made = runtime.session('made while poisoned')
    await runtime.reopen()
    await two.complete(2)
    await one.finish(2)
    await made.run(job, () => 'fine').outcome
    await runtime.close({ policy: 'terminate', reason: 'shutdown' })
    const recovered = await openRuntime({ store })
    const ends = (name: string) =>
      recovered
        .session(name)
        .feed.since(0)
        .entries.map(({ operationId, outcome }) => [operationId, outcome.type])
    expect(ends('one')).toEqual([
      [idOf(1), 'completed'],
      [idOf(2), 'completed'],
    ])
    expect(ends('two')).toEqual([
      [idOf(2), 'completed'],
      [idOf(1), 'terminated'],
    ])
    expect(ends('made while poisoned')).toHaveLength(1)
  })

  it('writes snapshots by itself and comes back from them', async () => {
    const store = createMemoryJournal()
    const clock = new SimulatedClock(start)
    const runtime = await createRuntime({ store, clock, compactAfter: 10 })
    const { finish, session } = fixtureOf(runtime, clock)
    for (let number = 1; number <= 100; number += 1) await finish(number)
    const feed = session.feed.since(0)
    await runtime.close()
    const recovered = await openRuntime({ store })
    expect(recovered.session('owner').feed.since(0)).toEqual(feed)
    const { journal, recovery } = await reopened(recovered, store)
    expect(recovery.snapshot).toBeDefined()
    expect([...recovery.records].length).toBeLessThan(300)
    await journal.close()
  })

  it('leaves no timer behind when nothing runs', async () => {
    const clock = new SimulatedClock(start)
    const runtime = await openRuntime({ clock })
    const { result, outcome } = await startWork(runtime.session('one'), { deadlineMs: 1000 })
    expect(clock.pendingTimeouts).toBe(1)
    result.resolve('')
    await outcome
    expect(clock.pendingTimeouts).toBe(0)
  })
})

async function reopened(
  runtime: Awaited<ReturnType<typeof createRuntime>>,
  store: ReturnType<typeof createMemoryJournal>,
) {
  await runtime.close()
  return store.open()
}
