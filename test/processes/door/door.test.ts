import { describe, expect, expectTypeOf, it } from 'vitest'
import * as v from 'valibot'
import { createDeferred } from '../../../src/base/promises.js'
import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import { defineProcess, noProjector, type ProcessEvent } from '../../../src/processes/public.js'
import { openRuntime, settle, until } from './support/runtime.js'

const rerunnable = { disposition: 'rerunnable' } as const
const Article = v.object({ title: v.string() })
const Approval = v.object({ approved: v.boolean() })
const publish = defineProcess(
  'publish',
  {
    input: Article,
    output: v.string(),
    events: { drafted: v.number() },
    signals: { approval: Approval },
    ...rerunnable,
  },
  async ({ title }, { step, waitFor, emit }) => {
    const draft = await step('draft', () => `draft of ${title}`)
    await emit('drafted', draft.length)
    const { approved } = await waitFor('approval')
    return approved ? draft : 'nothing'
  },
)

describe('a definition [P-190]', () => {
  const define = (options: object) => () =>
    defineProcess('kind', { ...rerunnable, ...options } as typeof rerunnable, () => {})

  it.each([
    ['disposition', { disposition: undefined }],
    ['disposition', { disposition: 'externally_owned' }],
    ['input', { input: {} }],
    ['events.process.mine', { events: { 'process.mine': Approval } }],
    ['events.signal.go', { events: { 'signal.go': Approval } }],
    ['signals.two words', { signals: { 'two words': Approval } }],
    ['wakes.0', { wakes: ['unknown'] }],
    ['maxAttempts', { disposition: 'owner_bound', maxAttempts: 2 }],
    ['maxAttempts', { maxAttempts: 0 }],
    ['concurrency', { concurrency: 0 }],
    ['version', { version: '' }],
    ['extra', { extra: 1 }],
  ])('is refused for its %s', (field, options) => {
    expect(define(options)).toThrow(
      expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field }) }),
    )
  })

  it('is refused without a name or a function', () => {
    expect(() => defineProcess('', rerunnable, () => {})).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    expect(() => defineProcess('kind', rerunnable, 5 as never)).toThrow(
      expect.objectContaining({ code: 'invalid_input' }),
    )
  })

  it('has an environment that follows from kind, version and event types alone', () => {
    const envOf = (kind: string, options: object) => defineProcess(kind, { ...rerunnable, ...options }, () => {}).envRef
    const plain = envOf('kind', {})
    expect(plain).toMatch(/^process-env:sha256:[0-9a-f]{64}$/)
    expect(envOf('kind', { maxAttempts: 3 })).toBe(plain)
    const others = [envOf('other', {}), envOf('kind', { version: 2 }), envOf('kind', { signals: { go: Approval } })]
    expect(new Set([plain, ...others]).size).toBe(4)
  })

  it('is defined once per version', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    expect(() => processes.define(publish)).toThrow(expect.objectContaining({ code: 'process.kind_defined' }))
    const next = processes.define('publish', { ...rerunnable, version: 2 }, () => 'new')
    const old = await processes.start(publish, { title: 'a' }, { id: 'old' })
    const fresh = await processes.start(next, null, { id: 'new' })
    expect(await fresh.result()).toBe('new')
    await old.signal('approval', { approved: true })
    expect(await old.result()).toBe('draft of a')
  })
})

it('types follow from schemas and functions, at every door', async () => {
  const { processes } = await openRuntime({ processes: { define: [publish] } })
  const handle = await processes.start(publish, { title: 'a' })
  expectTypeOf(handle.result).returns.resolves.toEqualTypeOf<string>()
  expectTypeOf(handle.signal<'approval'>)
    .parameter(1)
    .toEqualTypeOf<{ approved: boolean }>()
  expectTypeOf(processes.get(publish, 'p').result).returns.resolves.toEqualTypeOf<string>()
  expectTypeOf(processes.get(undefined, 'p').result).returns.resolves.toEqualTypeOf<unknown>()
  processes.define('untyped', rerunnable, async (input: { a: number }, context) => {
    expectTypeOf(context.input).toEqualTypeOf<{ a: number }>()
    expectTypeOf(await context.call(publish, { title: 'a' })).toEqualTypeOf<string>()
    return input.a
  })
  // @ts-expect-error the title is text
  await expect(processes.start(publish, { title: 1 })).rejects.toMatchObject({ code: 'invalid_input' })
  // @ts-expect-error no such signal
  await expect(handle.signal('other', 1)).rejects.toMatchObject({ code: 'process.event_undeclared' })
})

describe('starting [P-191]', () => {
  it('comes to one process under an id, however often it is asked for', async () => {
    let runs = 0
    const count = defineProcess('count', rerunnable, () => ++runs)
    const { processes } = await openRuntime({ processes: { define: [count] } })
    const handles = await Promise.all([1, 2, 3].map(() => processes.start(count, { a: 1 }, { id: 'one' })))
    expect(await Promise.all(handles.map((handle) => handle.result()))).toEqual([1, 1, 1])
    await expect(processes.start(count, { a: 2 }, { id: 'one' })).rejects.toMatchObject({
      code: 'process.registration_conflict',
    })
    expect(runs).toBe(1)
  })

  it('mints an id where none is given, and takes what lists show', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const originator = { type: 'session', scope: { sessionId: 's' } } as const
    const handle = await processes.start('publish', { title: 'a' }, { label: 'cranes', originator })
    await until(async () => (await handle.status()).wait !== undefined)
    expect(await processes.list({ waiting: true })).toMatchObject([
      {
        id: handle.id,
        identity: { kind: 'publish', label: 'cranes' },
        input: { type: 'engine', kind: 'publish', payload: { title: 'a' } },
        provenance: { originator },
        wait: { kind: { type: 'signal', name: 'approval', ordinal: 1 } },
      },
    ])
  })

  it('refuses what its schema refuses, options that are none, and kinds that are not defined', async () => {
    const { processes } = await openRuntime()
    await expect(processes.start(publish, { title: 5 } as never)).rejects.toMatchObject({
      code: 'invalid_input',
      data: { subject: 'input of publish', field: 'title' },
    })
    await expect(processes.start(publish, { title: 'a' }, { id: 'ä' })).rejects.toMatchObject({
      data: { subject: 'start options', field: 'id' },
    })
    await expect(processes.start('publish')).rejects.toMatchObject({ code: 'process.kind_unknown' })
    await expect(processes.start({} as never, null)).rejects.toMatchObject({ code: 'invalid_input' })
    expect(await processes.list({ status: 'any' })).toEqual([])
  })

  it('needs no definition on the host that starts: those that have it take it [P-196]', async () => {
    const { processes } = await openRuntime()
    const handle = await processes.start(publish, { title: 'a' })
    const other = defineProcess('publish', { ...rerunnable, version: 'other' }, () => 'wrong')
    processes.define(other)
    await settle()
    const { deferred } = await processes.drive()
    expect(deferred).toEqual([{ processId: handle.id, disposition: { type: 'kind_unknown' } }])
    processes.define(publish)
    await handle.signal('approval', { approved: true })
    expect(await handle.result()).toBe('draft of a')
  })

  it('runs no more of a kind at a time than its definition says', async () => {
    let [running, most] = [0, 0]
    const slow = defineProcess('slow', { ...rerunnable, concurrency: 2 }, async () => {
      most = Math.max(most, ++running)
      await settle()
      running -= 1
    })
    const { processes } = await openRuntime({ processes: { define: [slow] } })
    const handles = await Promise.all(Array.from({ length: 6 }, () => processes.start(slow, null)))
    await Promise.all(handles.map((handle) => handle.result()))
    expect(most).toBe(2)
  })
})

describe('a result [P-192]', () => {
  it('is what the run has returned, as its schema gives it back, bytes included', async () => {
    const bytes = defineProcess(
      'bytes',
      { ...rerunnable, output: v.object({ at: v.number(), raw: v.instance(Uint8Array) }) },
      () => ({
        at: 5,
        raw: new Uint8Array([1, 2]),
      }),
    )
    const { processes } = await openRuntime({ processes: { define: [bytes] } })
    const handle = await processes.start(bytes, null)
    expect(await handle.result()).toEqual({ at: 5, raw: new Uint8Array([1, 2]) })
    const nothing = processes.define('nothing', rerunnable, () => {})
    expect(await (await processes.start(nothing, null)).result()).toBe(null)
  })

  it('says how it failed, with what was thrown as the cause', async () => {
    const broken = defineProcess('broken', rerunnable, () => {
      throw Object.assign(new TypeError('no such page', { cause: new Error('offline') }), { code: 'E_PAGE' })
    })
    const { processes } = await openRuntime({ processes: { define: [broken] } })
    const handle = await processes.start(broken, null, { id: 'p' })
    await expect(handle.result()).rejects.toMatchObject({
      name: 'ProcessFailed',
      code: 'process.failed',
      message: 'process `p` failed: no such page',
      data: {
        processId: 'p',
        output: { type: 'failure', class: 'execution', code: 'E_PAGE', message: 'no such page' },
      },
      cause: { name: 'TypeError', message: 'no such page', code: 'E_PAGE', cause: { message: 'offline' } },
    })
    expect(await handle.outcome()).toMatchObject({ type: 'failure', raw: { name: 'TypeError', code: 'E_PAGE' } })
  })

  it('is a failure that says so when a schema refuses it or JSON has no form for it [P-197]', async () => {
    const faults: unknown[] = []
    const sink = { emit: () => {}, emitWorkerFault: (fault: unknown) => void faults.push(fault) }
    const { processes } = await openRuntime({ processes: { sink } })
    const wrong = processes.define('wrong', { ...rerunnable, output: v.number() }, () => 'text' as never)
    const date = processes.define('date', rerunnable, () => ({ at: new Date(0) }))
    expect(await (await processes.start(wrong, null)).outcome()).toMatchObject({ code: 'process_output_refused' })
    expect(await (await processes.start(date, null)).outcome()).toMatchObject({ code: 'process_output_refused' })
    const deep = processes.define('deep', rerunnable, () => Array.from({ length: 128 }).reduce((inner) => [inner], 1))
    const big = processes.define('big', rerunnable, () => 'x'.repeat(2 ** 20))
    for (const refused of [deep, big]) {
      await expect((await processes.start(refused, null)).result()).rejects.toMatchObject({
        data: { output: { code: 'process_output_refused' } },
        cause: { code: 'invalid_input' },
      })
    }
    expect(faults).toEqual([])
    await processes.store.registerProcess({
      id: 'stranger',
      input: { type: 'engine', kind: publish.kind, payload: { name: 'no title' } },
      disposition: 'rerunnable',
      eventTypes: publish.eventTypes,
      provenance: { originator: { type: 'host' } },
      envRef: publish.envRef,
    })
    processes.define(publish)
    expect(await processes.get(publish, 'stranger').outcome()).toMatchObject({
      type: 'failure',
      class: 'invalid_request',
      code: 'invalid_input',
    })
  })

  it('is told of by code when it was cancelled, given up or pruned', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const cancelled = await processes.start(publish, { title: 'a' })
    await until(async () => (await cancelled.status()).wait !== undefined)
    expect(await cancelled.cancel('enough')).toBe('requested')
    await expect(cancelled.result()).rejects.toMatchObject({
      code: 'process.cancelled',
      data: { output: { raw: { reason: 'enough' } } },
    })
    await processes.store.registerProcess({
      id: 'outside',
      input: { type: 'external', metadata: null },
      disposition: 'externally_owned',
      eventTypes: [],
      provenance: { originator: { type: 'host' } },
    })
    const outside = processes.get(undefined, 'outside')
    const lost = outside.result().catch((error: unknown) => error)
    await processes.store.requestAbandon('outside', { requestedBy: 'me', requestedAtMs: 1 })
    await processes.drive()
    expect(await lost).toMatchObject({ code: 'process.abandoned' })
    await processes.store.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector })
    await expect(outside.result()).rejects.toMatchObject({
      code: 'process.no_longer_retained',
      data: { output: { terminalLabel: 'abandoned' } },
    })
    const asking = [
      () => outside.status(),
      () => outside.cancel(),
      () => outside.events()[Symbol.asyncIterator]().next(),
    ]
    for (const ask of asking)
      await expect(ask()).rejects.toMatchObject({ code: 'process.unknown', data: { prunedAtMs: expect.any(Number) } })
    await expect(processes.get(undefined, 'never').result()).rejects.toMatchObject({ code: 'process.unknown' })
    await expect(processes.get(undefined, 'never').status()).rejects.toMatchObject({ code: 'process.unknown' })
  })

  it('is given up on by signal and time, and the process goes on', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const handle = await processes.start(publish, { title: 'a' })
    await expect(handle.result({ timeoutMs: 0 })).rejects.toMatchObject({ code: 'process.await_timeout' })
    await expect(handle.result({ signal: AbortSignal.abort('enough') })).rejects.toBe('enough')
    await expect(handle.result({ timeoutMs: -1 })).rejects.toMatchObject({ code: 'invalid_input' })
    expect((await handle.status()).status).toBe('running')
  })
})

describe('events [P-193]', () => {
  const typesOf = async (events: AsyncIterable<ProcessEvent>): Promise<string[]> => {
    const types: string[] = []
    for await (const event of events) types.push(event.eventType)
    return types
  }
  const whole = [
    'process.first_started',
    'drafted',
    'process.waiting',
    'signal.approval',
    'process.resumed',
    'process.completed',
  ]

  it('come each once, those that are there and those to come, and end with the process', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const handle = await processes.start(publish, { title: 'a' })
    const before = typesOf(handle.events())
    await until(async () => (await handle.status()).wait !== undefined)
    const during = typesOf(handle.events())
    await handle.signal('approval', { approved: true })
    expect(await Promise.all([before, during, typesOf(handle.events())])).toEqual([whole, whole, whole])
  })

  it('begin behind a cursor, and show steps to who asks', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const handle = await processes.start(publish, { title: 'a' })
    await handle.signal('approval', { approved: true })
    await handle.result()
    const { lastSequence } = await handle.status()
    expect(await typesOf(handle.events({ after: lastSequence - 1 }))).toEqual(['process.completed'])
    expect(await typesOf(handle.events({ after: lastSequence }))).toEqual([])
    const steps = (await typesOf(handle.events({ steps: true }))).filter((type) => type === 'process.step')
    // The draft, the wait and its answer.
    expect(steps).toHaveLength(3)
    expect(() => handle.events({ after: -1 })).toThrow(expect.objectContaining({ code: 'invalid_input' }))
  })

  it('are a stream too, whose subscribers leave when they like', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const handle = await processes.start(publish, { title: 'a' })
    const seen: string[] = []
    const completed = createDeferred<void>()
    handle.observe().subscribe({ next: ({ eventType }) => seen.push(eventType), complete: () => completed.resolve() })
    const left: string[] = []
    const leaving = handle.observe().subscribe(({ eventType }) => left.push(eventType))
    await until(() => left.includes('drafted'))
    leaving.unsubscribe()
    await handle.signal('approval', { approved: true })
    await completed.promise
    expect(seen).toEqual(whole)
    expect(left).not.toContain('process.completed')
  })

  it('end with the reason of a signal', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const handle = await processes.start(publish, { title: 'a' })
    const given = new AbortController()
    const following = typesOf(handle.events({ signal: given.signal }))
    given.abort('enough')
    await expect(following).rejects.toBe('enough')
  })
})

describe('signals [P-194]', () => {
  it('are taken one by one in their order, those included that came before anybody waited', async () => {
    const collect = defineProcess(
      'collect',
      { ...rerunnable, signals: { word: v.string() } },
      async (_: unknown, { waitFor }) => {
        const words: string[] = []
        for (let count = 0; count < 3; count += 1) words.push(await waitFor('word'))
        return words
      },
    )
    const { processes } = await openRuntime()
    const handle = await processes.start(collect, null)
    await handle.signal('word', 'a')
    await handle.signal('word', 'b')
    processes.define(collect)
    // The record may show the second wait as well, if its answer takes a moment.
    await until(async () => {
      const kind = (await handle.status()).wait?.kind
      return kind?.type === 'signal' && kind.ordinal === 3
    })
    await handle.signal('word', 'c')
    expect(await handle.result()).toEqual(['a', 'b', 'c'])
  })

  it('are there once under an id', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const handle = await processes.start(publish, { title: 'a' })
    const first = await handle.signal('approval', { approved: true }, { id: 'click' })
    await handle.result()
    expect(await handle.signal('approval', { approved: true }, { id: 'click' })).toEqual(first)
    await expect(handle.signal('approval', { approved: false }, { id: 'click' })).rejects.toMatchObject({
      code: 'process.replay_conflict',
    })
    await expect(handle.signal('approval', { approved: true })).rejects.toMatchObject({
      code: 'process.already_terminal',
    })
  })

  it('are refused when they are not declared or do not fit', async () => {
    const { processes } = await openRuntime({ processes: { define: [publish] } })
    const handle = await processes.start(publish, { title: 'a' })
    await expect(handle.signal('other' as never, 1 as never)).rejects.toMatchObject({
      code: 'process.event_undeclared',
    })
    await expect(handle.signal('approval', { approved: 1 } as never)).rejects.toMatchObject({ code: 'invalid_input' })
    await expect(processes.get(undefined, handle.id).signal('other', 1)).rejects.toMatchObject({
      code: 'process.event_undeclared',
    })
    expect(
      (await processes.store.eventsAfter(handle.id, 0)).filter(({ eventType }) => eventType.startsWith('signal')),
    ).toEqual([])
  })

  it('that a process does not declare cannot be waited for', async () => {
    const { processes } = await openRuntime()
    const deaf = processes.define('deaf', rerunnable, (_: unknown, { waitFor }) => waitFor('go', v.string()))
    expect(await (await processes.start(deaf, null)).outcome()).toMatchObject({ code: 'process.event_undeclared' })
  })
})

describe('cancelling [P-195]', () => {
  it('ends what nobody has begun without running it', async () => {
    let runs = 0
    const idle = defineProcess('idle', rerunnable, () => void (runs += 1))
    const { processes } = await openRuntime()
    const handle = await processes.start(idle, null)
    await handle.cancel('never mind')
    processes.define(idle)
    await expect(handle.result()).rejects.toMatchObject({
      code: 'process.cancelled',
      data: { output: { raw: { reason: 'never mind' } } },
    })
    expect(runs).toBe(0)
    expect(await handle.cancel()).toBe('already_ended')
    expect((await handle.status()).lastSequence).toBe(3)
  })

  it('reaches a run that waits, whatever host it was begun on', async () => {
    const store = createMemoryJournal()
    const cleaned: string[] = []
    const watcher = defineProcess(
      'watcher',
      { ...rerunnable, signals: { go: v.unknown() } },
      async (_: unknown, context) => {
        try {
          return await context.waitFor('go')
        } finally {
          cleaned.push(`attempt ${context.attempt}, aborted ${context.signal.aborted}`)
        }
      },
    )
    const first = await openRuntime({ store, processes: { define: [watcher] } })
    const { id } = await first.processes.start(watcher, null)
    await until(async () => (await first.processes.get(undefined, id).status()).wait !== undefined)
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, processes: { define: [watcher] } })
    await settle()
    expect(second.jobs.list()).toEqual([])
    await second.processes.get(watcher, id).cancel()
    await expect(second.processes.get(watcher, id).result()).rejects.toMatchObject({ code: 'process.cancelled' })
    expect(cleaned).toEqual(['attempt 1, aborted true', 'attempt 2, aborted true'])
  })

  it('lets a run say what it came to all the same', async () => {
    const stubborn = defineProcess('stubborn', rerunnable, async (_: unknown, { signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      return 'saved'
    })
    const { processes } = await openRuntime({ processes: { define: [stubborn] } })
    const handle = await processes.start(stubborn, null)
    await until(async () => (await handle.status()).firstStarted !== undefined)
    await handle.cancel()
    expect(await handle.result()).toBe('saved')
  })
})
