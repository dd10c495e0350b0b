import { describe, expect, it } from 'vitest'
import * as v from 'valibot'
import { createDeferred } from '../../../src/base/promises.js'
import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import { defineProcess, noProjector, ProcessError, type ProcessStore } from '../../../src/processes/public.js'
import { StoreError } from '../../../src/postgres/index.js'
import { openProcessStore } from '../../../src/processes/index.js'
import { createRuntime } from '../../../src/runtime.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { openRuntime, recordingLogger, settle, until } from './support/runtime.js'

const rerunnable = { disposition: 'rerunnable' } as const

describe('what a run emits [P-198]', () => {
  it('is written once, however often the run starts', async () => {
    const store = createMemoryJournal()
    const talk = defineProcess(
      'talk',
      { ...rerunnable, events: { said: v.string() }, signals: { go: v.unknown() } },
      async (_: unknown, { emit, waitFor, attempt }) => {
        await emit('said', 'hello')
        await waitFor('go')
        await emit('said', 'goodbye')
        return attempt
      },
    )
    const first = await openRuntime({ store, processes: { define: [talk] } })
    const { id } = await first.processes.start(talk, null)
    await until(async () => (await first.processes.get(talk, id).status()).wait !== undefined)
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, processes: { define: [talk] } })
    const handle = second.processes.get(talk, id)
    await handle.signal('go', 1)
    expect(await handle.result()).toBe(2)
    const events = await second.processes.store.eventsAfter(id, 0)
    expect(events.filter(({ eventType }) => eventType === 'said').map(({ payload }) => payload)).toEqual([
      'hello',
      'goodbye',
    ])
  })

  it('has its name for a place, where it has one', async () => {
    const store = createMemoryJournal()
    const named = defineProcess(
      'named',
      { ...rerunnable, events: { said: v.string() }, signals: { go: v.unknown() } },
      async (_: unknown, { emit, waitFor, attempt }) => {
        const words = attempt === 1 ? ['a', 'b'] : ['b', 'c', 'a']
        for (const word of words) await emit('said', word, { key: word })
        return waitFor('go')
      },
    )
    const first = await openRuntime({ store, processes: { define: [named] } })
    const { id } = await first.processes.start(named, null)
    await until(async () => (await first.processes.get(named, id).status()).wait !== undefined)
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, processes: { define: [named] } })
    await second.processes.get(named, id).signal('go', 1)
    await second.processes.get(named, id).result()
    const events = await second.processes.store.eventsAfter(id, 0)
    expect(events.flatMap(({ eventType, payload }) => (eventType === 'said' ? [payload] : []))).toEqual(['a', 'b', 'c'])
  })

  it('is refused when it is not declared, does not fit, or is another than before', async () => {
    const store = createMemoryJournal()
    let word = 'one'
    const loud = defineProcess(
      'loud',
      { ...rerunnable, events: { said: v.string() }, signals: { go: v.unknown() } },
      async (_: unknown, { emit, waitFor }) => {
        await expect(emit('other' as never, 1 as never)).rejects.toMatchObject({ code: 'process.event_undeclared' })
        await emit('said', word)
        await expect(emit('said', 5 as never)).rejects.toMatchObject({ code: 'invalid_input' })
        return waitFor('go')
      },
    )
    const first = await openRuntime({ store, processes: { define: [loud] } })
    const { id } = await first.processes.start(loud, null)
    await until(async () => (await first.processes.get(loud, id).status()).wait !== undefined)
    await first.close({ policy: 'terminate' })
    word = 'another'
    const second = await openRuntime({ store, processes: { define: [loud] } })
    await second.processes.get(loud, id).signal('go', 1)
    expect(await second.processes.get(loud, id).outcome()).toMatchObject({ code: 'process.replay_conflict' })
  })
})

describe('a store that fails under a run [P-199]', () => {
  /** A store that answers nothing that is asked for while it is down. */
  async function mortal(clock: SimulatedClock) {
    const inner = await openProcessStore({ clock })
    const state = { isDown: false }
    const store = new Proxy(inner, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function' || key === 'durabilityTier' || key === 'isHolderDead') return value
        return (...args: unknown[]): unknown => {
          if (state.isDown) {
            return Promise.reject(new ProcessError('store.unavailable', { store: 'scripted', reason: 'down' }))
          }
          return Reflect.apply(value, target, args) as unknown
        }
      },
    }) as ProcessStore
    return { store, state }
  }
  const pass = async (clock: SimulatedClock, milliseconds: number): Promise<void> => {
    for (let passed = 0; passed < milliseconds; passed += 1000) {
      await settle()
      clock.advance(1000)
    }
    await settle()
  }

  it('is waited for, as long as the lease lasts: nothing is begun anew, and no step is done again', async () => {
    const clock = new SimulatedClock()
    const { store, state } = await mortal(clock)
    const leaf = defineProcess('leaf', { ...rerunnable, signals: { go: v.unknown() } }, (_: unknown, { waitFor }) =>
      waitFor('go'),
    )
    const done: string[] = []
    const flow = defineProcess(
      'flow',
      { ...rerunnable, events: { said: v.string() }, signals: { go: v.unknown() } },
      async (which: string, { step, emit, call, waitFor, attempt }) => {
        await step('one', () => {
          state.isDown = which === 'step'
          done.push(which)
        })
        if (which === 'emit') state.isDown = true
        await emit('said', 'hello')
        if (which === 'call') state.isDown = true
        const answer = which === 'call' ? await call(leaf, null) : await waitFor('go')
        return [attempt, answer]
      },
    )
    const { processes } = await openRuntime({
      clock,
      logger: recordingLogger(),
      processes: { define: [flow, leaf], store, timings: { ttlMs: 30_000, renewIntervalMs: 10_000 } },
    })
    for (const which of ['step', 'emit', 'call', 'wait']) {
      const handle = await processes.start(flow, which, { id: which })
      await settle()
      state.isDown = true
      await pass(clock, 12_000)
      state.isDown = false
      await pass(clock, 9000)
      const called = await processes.list()
      const asked = called.find(({ identity }) => identity.kind === 'leaf')?.id ?? ''
      await (which === 'call' ? processes.get(leaf, asked) : processes.get(flow, handle.id)).signal('go', 7)
      await pass(clock, 2000)
      expect([which, await handle.result()]).toEqual([which, [1, 7]])
      expect(done).toEqual([which])
      done.length = 0
    }
  })

  it('ends nothing that can run again when it is away for longer: that is run again later', async () => {
    const clock = new SimulatedClock()
    const { store, state } = await mortal(clock)
    const flow = defineProcess('flow', rerunnable, async (_: unknown, { step, attempt }) => [
      await step('one', () => {
        state.isDown = attempt === 1
        return 1
      }),
      attempt,
    ])
    const { processes } = await openRuntime({ clock, logger: recordingLogger(), processes: { define: [flow], store } })
    const handle = await processes.start(flow, null)
    await pass(clock, 40_000)
    state.isDown = false
    await pass(clock, 10_000)
    expect(await handle.result()).toEqual([1, 2])
  })

  it('gives up after as many starts as it may have', async () => {
    const clock = new SimulatedClock()
    const { store, state } = await mortal(clock)
    const flow = defineProcess('flow', { ...rerunnable, maxAttempts: 1 }, (_: unknown, { step }) =>
      step('one', () => void (state.isDown = true)),
    )
    const { processes } = await openRuntime({ clock, logger: recordingLogger(), processes: { define: [flow], store } })
    const handle = await processes.start(flow, null)
    await pass(clock, 40_000)
    state.isDown = false
    await pass(clock, 10_000)
    await expect(handle.result()).rejects.toMatchObject({
      code: 'process.abandoned',
      data: { output: { evidence: { writer: 'engine_gave_up' } } },
    })
  })
})

describe('a store that does not take an end [P-282]', () => {
  /** A store whose method fails as long as there are errors. */
  async function failingWith(method: keyof ProcessStore, errors: (() => Error)[]): Promise<ProcessStore> {
    const inner = await openProcessStore()
    return new Proxy(inner, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]): Promise<unknown> => {
          const failure = key === method ? errors.shift() : undefined
          if (failure !== undefined) throw failure()
          return Reflect.apply(value, target, args) as unknown
        }
      },
    })
  }
  const conflict = () => new StoreError('store.conflict', { attempts: 8, cause: 'deadlock', sqlState: '40P01' })
  const rejected = () => new StoreError('store.rejected', { cause: 'no right', sqlState: '42501' })

  it.each([
    ['another transaction', conflict],
    ['a right that is missing', rejected],
    ['an error of nobody’s', () => new Error('socket hang up')],
  ])('for %s is offered it again: what a run has returned is not replaced', async (_, failure) => {
    const clock = new SimulatedClock()
    const store = await failingWith('completeWithLease', [failure, failure])
    const flow = defineProcess('flow', rerunnable, () => 'done')
    const { processes } = await openRuntime({ clock, logger: recordingLogger(), processes: { define: [flow], store } })
    const handle = await processes.start(flow, null)
    for (const delay of [100, 200]) {
      await settle()
      clock.advance(delay)
    }
    expect(await handle.result()).toBe('done')
    expect((await handle.status()).firstStarted?.attempt).toBe(1)
  })

  it('fails no process for a step that other transactions were in the way of', async () => {
    const clock = new SimulatedClock()
    const store = await failingWith('recordStep', [conflict])
    const flow = defineProcess('flow', rerunnable, (_: unknown, { step }) => step('one', () => 1))
    const { processes } = await openRuntime({ clock, logger: recordingLogger(), processes: { define: [flow], store } })
    const handle = await processes.start(flow, null)
    await settle()
    clock.advance(1000)
    expect(await handle.result()).toBe(1)
  })

  it('is waited for no longer than the grace of the closing and a second', async () => {
    const clock = new SimulatedClock()
    const down = () => new ProcessError('store.unavailable', { store: 'scripted', reason: 'down' })
    const store = await failingWith(
      'completeWithLease',
      Array.from({ length: 100 }, () => down),
    )
    const flow = defineProcess('flow', rerunnable, () => 'done')
    const runtime = await createRuntime({ clock, logger: recordingLogger(), processes: { define: [flow], store } })
    await runtime.processes.start(flow, null)
    await settle()
    const closed = runtime.close({ graceMs: 500 })
    let isClosed = false
    void closed.then(() => (isClosed = true))
    await settle()
    clock.advance(1499)
    await settle()
    expect(isClosed).toBe(false)
    clock.advance(1)
    await settle()
    expect(isClosed).toBe(true)
    expect(clock.pendingTimeouts).toBe(0)
  })
})

describe('what a run has recorded [P-200]', () => {
  it('is handed to the next one, answers in their order included', async () => {
    const store = createMemoryJournal()
    const done: string[] = []
    const flow = defineProcess(
      'flow',
      { ...rerunnable, signals: { word: v.string() } },
      async (_: unknown, context) => {
        const { step, waitFor } = context
        const draft = await step('draft', () => (done.push('draft'), 'draft'))
        const words = [await waitFor('word'), await waitFor('word')]
        const late = await waitFor('word', v.string(), { timeoutMs: 0 }).catch(
          (error: unknown) => (error as ProcessError).code,
        )
        const last = await step('last', () => (done.push('last'), 'last'))
        return [draft, ...words, late, last, await waitFor('word'), context.attempt]
      },
    )
    const first = await openRuntime({ store, processes: { define: [flow] } })
    const { id } = await first.processes.start(flow, null)
    for (const word of ['a', 'b']) await first.processes.get(flow, id).signal('word', word)
    await until(() => done.includes('last'))
    await until(async () => (await first.processes.get(flow, id).status()).wait !== undefined)
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, processes: { define: [flow] } })
    await second.processes.get(flow, id).signal('word', 'c')
    expect(await second.processes.get(flow, id).result()).toEqual(['draft', 'a', 'b', 'wait_timed_out', 'last', 'c', 2])
    expect(done).toEqual(['draft', 'last'])
  })

  it('and is not asked for any more is told to the logger', async () => {
    const store = createMemoryJournal()
    const asking = (name: string) =>
      defineProcess('flow', { ...rerunnable, signals: { go: v.unknown() } }, async (_: unknown, { step, waitFor }) => {
        await step(name, () => 1)
        await waitFor('go')
      })
    const first = await openRuntime({ store, processes: { define: [asking('old')] } })
    const { id } = await first.processes.start('flow', null)
    await until(async () => (await first.processes.get(undefined, id).status()).wait !== undefined)
    await first.close({ policy: 'terminate' })
    const logger = recordingLogger()
    const second = await openRuntime({ store, logger, processes: { define: [asking('new')] } })
    await second.processes.get(undefined, id).signal('go', 1)
    await second.processes.get(undefined, id).result()
    expect(logger.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', fields: { processId: id, unused: ['step:old'] } }),
    )
  })

  it('is of functions alone', async () => {
    const flow = defineProcess('flow', rerunnable, (_: unknown, { step }) => step('one', 5 as never))
    const { processes } = await openRuntime({ processes: { define: [flow] } })
    expect(await (await processes.start(flow, null)).outcome()).toMatchObject({ code: 'invalid_input' })
  })

  it('has names of printable ASCII; another is refused before the step is done', async () => {
    let done = 0
    const { processes } = await openRuntime()
    const named = processes.define('named', rerunnable, (_: unknown, { step }) => step('größe', () => ++done))
    expect(await (await processes.start(named, null)).outcome()).toMatchObject({ code: 'invalid_input' })
    expect(done).toBe(0)
  })

  it('that cannot be is refused, naming the field', async () => {
    const store = createMemoryJournal()
    const flow = defineProcess('flow', { ...rerunnable, signals: { go: v.unknown() } }, (_: unknown, { waitFor }) =>
      waitFor('go'),
    )
    const first = await openRuntime({ store })
    const { id } = await first.processes.start(flow, null)
    const claimed = await first.processes.store.claimLease(id, { ownerId: 'a', incarnationId: 'b' }, 60_000)
    if (claimed.outcome !== 'acquired') throw new Error('busy')
    const { lease } = claimed
    await first.processes.store.recordFirstStarted(id, { owner: lease.owner, startedAtMs: 1 }, { lease })
    await first.processes.store.recordStep(lease, { name: 'wait:go', ordinal: 1, result: { since_ms: 'yesterday' } })
    await first.processes.store.completeLease(lease)
    first.processes.define(flow)
    expect(await first.processes.get(flow, id).outcome()).toMatchObject({ type: 'failure', code: 'invalid_input' })
  })
})

describe('what a process waits for [P-201]', () => {
  it('stands in its record while that is all it does, and is no work before it is there', async () => {
    const store = createMemoryJournal()
    const clock = new SimulatedClock()
    let starts = 0
    const sleeper = defineProcess('sleeper', rerunnable, async (_: unknown, { sleep }) => {
      starts += 1
      await sleep(60_000)
      return 'awake'
    })
    const first = await openRuntime({ store, clock, processes: { define: [sleeper] } })
    const { id } = await first.processes.start(sleeper, null)
    const untilMs = clock.wallNow() + 60_000
    await until(async () => (await first.processes.get(sleeper, id).status()).wait !== undefined)
    expect((await first.processes.get(sleeper, id).status()).wait).toEqual({
      sinceMs: clock.wallNow(),
      kind: { type: 'timer', untilMs },
    })
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, clock, processes: { define: [sleeper] } })
    await settle()
    expect(starts).toBe(1)
    clock.advance(60_000)
    expect(await second.processes.get(sleeper, id).result()).toBe('awake')
    expect(starts).toBe(2)
  })

  it('is not said where there are several things, or a time limit: then it is run up to its waits again', async () => {
    const store = createMemoryJournal()
    const clock = new SimulatedClock()
    const signals = { a: v.string(), b: v.string() }
    const both = defineProcess('both', { ...rerunnable, signals }, (_: unknown, { waitFor }) =>
      Promise.all([waitFor('a'), waitFor('b')]),
    )
    const limited = defineProcess('limited', { ...rerunnable, signals }, (_: unknown, { waitFor }) =>
      waitFor('a', undefined, { timeoutMs: 1000 }),
    )
    const define = [both, limited]
    const first = await openRuntime({ store, clock, processes: { define } })
    await first.processes.start(both, null, { id: 'both' })
    await first.processes.start(limited, null, { id: 'limited' })
    const isParked = (runtime: typeof first) => () =>
      runtime.jobs.list().filter(({ state }) => state === 'waiting').length === 2
    await until(isParked(first))
    await settle()
    expect(await first.processes.list({ waiting: true })).toEqual([])
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, clock, processes: { define } })
    await until(isParked(second))
    await second.processes.get(both, 'both').signal('b', 'second')
    await settle()
    // One is left.
    expect((await second.processes.get(both, 'both').status()).wait?.kind).toMatchObject({ name: 'a', ordinal: 1 })
    await second.processes.get(both, 'both').signal('a', 'first')
    expect(await second.processes.get(both, 'both').result()).toEqual(['first', 'second'])
    clock.advance(1000)
    expect(await second.processes.get(limited, 'limited').outcome()).toMatchObject({ code: 'wait_timed_out' })
  })

  it('is not said while a step is under way beside it', async () => {
    const mailed = createDeferred<string>()
    const { processes, jobs } = await openRuntime()
    const ask = processes.define(
      'ask',
      { ...rerunnable, signals: { go: v.string() } },
      async (_: unknown, { waitFor, step }) => {
        const waiting = waitFor('go')
        const mail = step('mail', () => mailed.promise)
        return Promise.all([waiting, mail])
      },
    )
    const handle = await processes.start(ask, null)
    await until(async () => (await processes.store.recordedSteps(handle.id)).length > 0)
    await settle()
    expect((await handle.status()).wait).toBeUndefined()
    expect(jobs.list()).toMatchObject([{ room: 'processes', state: 'working' }])
    mailed.resolve('sent')
    await handle.signal('go', 'yes')
    expect(await handle.result()).toEqual(['yes', 'sent'])
  })

  it('is taken back before a second wait is recorded: a crash in between would keep others from the second one', async () => {
    const later = createDeferred<void>()
    const { processes } = await openRuntime()
    const signals = { a: v.string(), b: v.string() }
    const ask = processes.define('ask', { ...rerunnable, signals }, async (_: unknown, { waitFor }) => {
      const first = waitFor('a')
      await later.promise
      return Promise.all([first, waitFor('b')])
    })
    const handle = await processes.start(ask, null)
    await until(async () => (await handle.status()).wait !== undefined)
    later.resolve()
    await until(async () => (await processes.store.recordedSteps(handle.id)).length === 2)
    const events = await processes.store.eventsAfter(handle.id, 0)
    expect(events.map(({ eventType }) => eventType)).toEqual([
      'process.first_started',
      'process.step',
      'process.waiting',
      'process.resumed',
      'process.step',
    ])
    await handle.signal('b', 'second')
    await handle.signal('a', 'first')
    expect(await handle.result()).toEqual(['first', 'second'])
  })

  it('is taken back before a step that comes later begins', async () => {
    const later = createDeferred<void>()
    const seen: unknown[] = []
    const { processes } = await openRuntime()
    const ask = processes.define(
      'ask',
      { ...rerunnable, signals: { go: v.string() } },
      async (_: unknown, { waitFor, step, processId }) => {
        const waiting = waitFor('go')
        await later.promise
        await step('look', async () => void seen.push((await processes.get(undefined, processId).status()).wait))
        return waiting
      },
    )
    const handle = await processes.start(ask, null)
    await until(async () => (await handle.status()).wait !== undefined)
    later.resolve()
    await until(() => seen.length > 0)
    expect(seen).toEqual([undefined])
    await handle.signal('go', 'yes')
    expect(await handle.result()).toBe('yes')
  })
})

describe('a process that calls others [P-202]', () => {
  const leaf = defineProcess('leaf', { ...rerunnable, input: v.number() }, (depth) => `leaf ${depth}`)
  const node = defineProcess('node', { ...rerunnable, input: v.number() }, async (depth, { call }): Promise<string> => {
    const below: unknown = depth === 0 ? await call(leaf, depth) : await call('node', depth - 1)
    return `${depth} ${String(below)}`
  })

  it('gives its slot back while it waits: chains end at concurrency 1', async () => {
    const { processes } = await openRuntime({ processes: { define: [leaf, node], concurrency: 1 } })
    const handle = await processes.start(node, 3, { id: 'top' })
    expect(await handle.result()).toBe('3 2 1 0 leaf 0')
    const called = await processes.list({ status: 'any' })
    expect(called).toHaveLength(5)
    expect(called.find(({ identity }) => identity.kind === 'leaf')?.provenance.causedBy).toMatchObject({
      type: 'process',
    })
    // However deep, an id stays one.
    for (const { id } of called) expect(id.length).toBeLessThanOrEqual(256)
  })

  it('is told why one ended without a result', async () => {
    const { processes } = await openRuntime()
    processes.define('bad', rerunnable, () => {
      throw new Error('no')
    })
    const asking = processes.define('asking', rerunnable, async (kind: string, { call }) =>
      call(kind, null).catch((error: unknown) => (error as ProcessError).data),
    )
    expect(await (await processes.start(asking, 'bad')).result()).toEqual({ kind: 'bad', reason: 'process_failed' })
    expect(await (await processes.start(asking, 'nothing')).result()).toEqual({ kind: 'nothing' })
  })

  it.each([
    ['has a "#"', 'numbered#2'],
    ['is longer than the name of a step', 'k'.repeat(201)],
    ['is as long as a kind can be', '#'.repeat(256)],
  ])('calls what can be started, also where its kind %s', async (_, kind) => {
    const store = createMemoryJournal()
    const called = defineProcess(kind, rerunnable, (input: number) => input + 1)
    const asking = defineProcess(
      'asking',
      { ...rerunnable, signals: { go: v.unknown() } },
      async (_input: unknown, { call, waitFor }) => {
        const answers = [await call(called, 1), await call(kind, 2)]
        await waitFor('go')
        return answers
      },
    )
    const define = [called, asking]
    const first = await openRuntime({ store, processes: { define } })
    expect(await (await first.processes.start(called, 0)).result()).toBe(1)
    const { id } = await first.processes.start(asking, null)
    await until(async () => (await first.processes.get(asking, id).status()).wait?.kind.type === 'signal')
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, processes: { define } })
    await second.processes.get(asking, id).signal('go', 1)
    expect(await second.processes.get(asking, id).result()).toEqual([2, 3])
    expect(await second.processes.list({ status: 'any' })).toHaveLength(4)
  })

  it('keeps what it was told when the other one is pruned', async () => {
    const store = createMemoryJournal()
    const asking = defineProcess(
      'asking',
      { ...rerunnable, signals: { go: v.unknown() } },
      async (_: unknown, { call, waitFor }) => {
        const answer = await call(leaf, 7)
        await waitFor('go')
        return answer
      },
    )
    const define = [leaf, asking]
    const first = await openRuntime({ store, processes: { define } })
    const { id } = await first.processes.start(asking, null)
    await until(async () => (await first.processes.get(asking, id).status()).wait?.kind.type === 'signal')
    await settle()
    const { prunedProcesses } = await first.processes.store.pruneTerminal(Number.POSITIVE_INFINITY, {
      watermark: noProjector,
    })
    expect(prunedProcesses).toBe(1)
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, processes: { define } })
    await second.processes.get(asking, id).signal('go', 1)
    expect(await second.processes.get(asking, id).result()).toBe('leaf 7')
    expect(await second.processes.list({ status: 'any' })).toHaveLength(1)
  })
})

describe('a process that is bound to its owner [P-203]', () => {
  const ownerBound = { disposition: 'owner_bound' } as const

  it('does steps, waits and calls without recording them', async () => {
    const { processes } = await openRuntime()
    const leaf = processes.define('leaf', rerunnable, () => 'leaf')
    const bound = processes.define(
      'bound',
      { ...ownerBound, signals: { go: v.string() } },
      async (_: unknown, { step, waitFor, call }) => [
        await step('one', () => 1),
        await waitFor('go'),
        await call(leaf, null),
      ],
    )
    const handle = await processes.start(bound, null)
    await until(async () => (await handle.status()).firstStarted !== undefined)
    await handle.signal('go', 'yes')
    expect(await handle.result()).toEqual([1, 'yes', 'leaf'])
    expect(await processes.store.recordedSteps(handle.id)).toEqual([])
  })

  it('is given up by the next host of a directory, and never run again', async () => {
    const store = createMemoryJournal()
    let runs = 0
    const bound = defineProcess('bound', ownerBound, () => {
      runs += 1
      return new Promise(() => {})
    })
    const first = await openRuntime({ store, processes: { define: [bound] } })
    const { id } = await first.processes.start(bound, null)
    await until(() => runs === 1)
    const closed = first.close({ policy: 'terminate' })
    await closed
    const second = await openRuntime({ store, processes: { define: [bound] } })
    await expect(second.processes.get(bound, id).result()).rejects.toMatchObject({
      code: 'process.abandoned',
      data: { output: { evidence: { writer: 'sweep', owner: { ownerId: expect.stringContaining('host') } } } },
    })
    expect(runs).toBe(1)
  })
})

describe('what a run still waits for when it has ended [P-275]', () => {
  it('is waited for no longer: nothing is left of it, and nothing of it is told', async () => {
    const clock = new SimulatedClock()
    const told: unknown[] = []
    const flow = defineProcess(
      'flow',
      { ...rerunnable, signals: { go: v.unknown(), other: v.unknown() } },
      (_: unknown, { waitFor, sleep }) => {
        const late = (reason: unknown): void => void told.push(reason)
        waitFor('other').then(late, late)
        return Promise.race([waitFor('go'), sleep(86_400_000).then(() => 'late')])
      },
    )
    const { processes } = await openRuntime({ clock, processes: { define: [flow] } })
    const before = clock.pendingTimeouts
    const handle = await processes.start(flow, null)
    await until(async () => (await processes.store.recordedSteps(handle.id)).length === 3)
    await handle.signal('go', 'now')
    expect(await handle.result()).toBe('now')
    await until(() => !processes.isRunning)
    await settle()
    expect(clock.pendingTimeouts).toBe(before)
    expect(processes.driver.hub.trackedProcesses()).toBe(0)
    expect(told).toEqual([])
  })

  it('harms nobody when it rejects first: a promise that is let go of has a handler', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', note)
    try {
      const flow = defineProcess(
        'flow',
        { ...rerunnable, events: { said: v.string() }, signals: { go: v.unknown() } },
        async (_: unknown, { emit, step, waitFor, sleep, call, signal }) => {
          void waitFor('go')
          void sleep(86_400_000)
          void emit('said', 5 as never)
          void step('', () => 1)
          void call('nobody defines it')
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          await new Promise(setImmediate)
          return 'done'
        },
      )
      const { processes } = await openRuntime({ processes: { define: [flow] } })
      const handle = await processes.start(flow, null)
      await until(() => processes.isRunning)
      await settle()
      await handle.cancel()
      expect(await handle.result()).toBe('done')
      await settle()
      expect(unhandled).toEqual([])
    } finally {
      process.off('unhandledRejection', note)
    }
  })
})
