import { setImmediate } from 'node:timers/promises'
import { InvalidInputError, createRuntime, type Logger, type Session } from 'stateward'
import { createStatelyInspector, type StatelyInspectorOptions } from 'stateward/inspect'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createActor, createMachine, fromTransition } from 'xstate'
import { silentLogger } from '../../src/base/logger.js'
import { KeepingAdapter } from './support/keeping-adapter.js'
import { lossIn } from './support/loss.js'

const tool = 'background_tool_op'
const forever = (): Promise<never> => new Promise(() => {})

async function openSession(options: StatelyInspectorOptions = {}, adapter = new KeepingAdapter()) {
  const inspector = createStatelyInspector({ adapter, ...options })
  const runtime = await createRuntime({ inspect: inspector.inspect })
  onTestFinished(async () => {
    await inspector.stop()
    await runtime.close({ policy: 'terminate' })
  })
  return { inspector, adapter, runtime, session: runtime.session('agent'), received: adapter.received }
}

/** Starts an operation that runs until it is cancelled. */
async function begin(session: Session, displayName: string) {
  const handle = session.run({ kind: tool, displayName }, forever)
  await setImmediate()
  return handle
}

/** Everything that can be sent has been sent. */
async function settle(inspector: { readonly queued: number }): Promise<void> {
  for (let turn = 0; turn < 3 || inspector.queued > 0; turn += 1) await setImmediate()
}

describe('whoever connects', () => {
  it('is shown every actor that runs, as it is now, and none that has ended', async () => {
    const { inspector, received, session, adapter } = await openSession({}, new KeepingAdapter('disconnected'))
    void inspector.start().catch(() => {})
    await begin(session, 'still running')
    await (await begin(session, 'ended')).cancel()
    expect([inspector.isConnected, inspector.queued]).toEqual([false, 0])

    adapter.become('ready')
    await settle(inspector)
    expect(received.names).toEqual(['operation-registry agent', 'still running'])
    expect(received.events[1]).toMatchObject({ snapshot: { status: 'active', value: 'running' } })
    expect(received.steps).toEqual([])
  })

  it('is shown everything again after the connection broke off', async () => {
    const { inspector, received, session, adapter } = await openSession()
    await inspector.start()
    await begin(session, 'long work')
    await settle(inspector)
    adapter.become('disconnected')
    received.events.length = 0
    await begin(session, 'begun in between')
    adapter.become('ready')
    await settle(inspector)
    expect(received.names).toEqual(['operation-registry agent', 'long work', 'begun in between'])
  })

  it('can be shown everything again on request', async () => {
    const { inspector, received, session } = await openSession()
    await inspector.start()
    await begin(session, 'long work')
    await settle(inspector)
    received.events.length = 0
    inspector.refresh()
    await settle(inspector)
    expect(received.names).toEqual(['operation-registry agent', 'long work'])
  })

  it('is not shown actors that were made but never started', async () => {
    const { inspector, received } = await openSession()
    await inspector.start()
    createActor(createMachine({ id: 'idle' }), { inspect: inspector.inspect })
    inspector.refresh()
    await settle(inspector)
    expect(received.names).toEqual(['operation-registry agent'])
  })
})

describe('while nobody is connected', () => {
  it('nothing is converted and nothing waits', async () => {
    const adapter = new KeepingAdapter('disconnected')
    let converted = 0
    const serialize = (): undefined => void (converted += 1)
    const { inspector, session } = await openSession({ serialize }, adapter)
    void inspector.start().catch(() => {})
    for (let number = 0; number < 50; number += 1) await (await begin(session, `work ${number}`)).cancel()
    await settle(inspector)
    expect([converted, inspector.queued, inspector.dropped]).toEqual([0, 0, 0])
  })

  it('what waited when the connection broke off counts as dropped', async () => {
    const { inspector, adapter, runtime, session, received } = await openSession()
    await inspector.start()
    await settle(inspector)
    adapter.become('busy')
    session.operations.drain()
    expect(inspector.queued).toBe(2)
    adapter.become('disconnected')
    expect([inspector.queued, inspector.dropped]).toEqual([0, 2])
    adapter.become('ready')
    runtime.session('other')
    await settle(inspector)
    expect(lossIn(received.events)).toEqual({ announced: [2], missing: [2] })
  })
})

describe('a flood', () => {
  it('leaves no more than maxQueued events waiting, counts what it drops, and keeps the newest', async () => {
    const { inspector, adapter, received, session } = await openSession({ maxQueued: 10 })
    await inspector.start()
    await settle(inspector)
    adapter.become('busy')
    const before = received.events.length
    let mostQueued = 0
    for (let number = 0; number < 200; number += 1) {
      await begin(session, `work ${number}`)
      mostQueued = Math.max(mostQueued, inspector.queued)
    }
    expect(mostQueued).toBe(10)
    expect(received.events.length).toBe(before)
    // Each operation is registered and started: an event and a snapshot of the registry for both, and of the operation too.
    expect(inspector.dropped).toBe(200 * 8 - 10)

    adapter.become('ready')
    await settle(inspector)
    expect(lossIn(received.events)).toEqual({ announced: [1590], missing: [1590] })
    expect(received.steps.slice(-8)).toEqual([
      'operation-registry agent register',
      'work 199 xstate.init',
      'work 199 xstate.init',
      'operation-registry agent register',
      'operation-registry agent operation.start',
      'work 199 start',
      'work 199 start',
      'operation-registry agent operation.start',
    ])
  })

  it('repairs an introduction that was dropped before the next event of the actor', async () => {
    const { inspector, adapter, received, session } = await openSession({ maxQueued: 2 })
    await inspector.start()
    adapter.become('busy')
    const handle = await begin(session, 'late introduction')
    await handle.cancel()
    adapter.become('ready')
    await settle(inspector)
    await session.operations.collectCompleted()
    await settle(inspector)
    expect(received.names).toContain('operation-registry agent')
    const known = new Set<string>()
    for (const event of received.events) {
      if (event.type === '@xstate.actor') known.add(event.sessionId)
      expect(known).toContain(event.sessionId)
    }
  })

  it('is sent in slices, so that the service has its turns in between', async () => {
    const { inspector, adapter, received, session } = await openSession({ maxQueued: 100_000 })
    await inspector.start()
    adapter.become('busy')
    for (let number = 0; number < 100; number += 1) session.run({ kind: tool, displayName: `work ${number}` }, forever)
    await setImmediate()
    expect(inspector.queued).toBeGreaterThan(500)
    adapter.become('ready')
    await setImmediate()
    expect(received.steps.length).toBeGreaterThan(50)
    expect(received.steps.length).toBeLessThanOrEqual(100)
    await settle(inspector)
    expect(received.names).toHaveLength(101)
    expect(inspector.dropped).toBe(0)
  })
})

describe('filter', () => {
  it('keeps an actor out altogether when its registration is refused', async () => {
    const filter: StatelyInspectorOptions['filter'] = ({ type, actorRef }) =>
      type !== '@xstate.actor' || (actorRef as unknown as { id: string }).id !== 'operation'
    const { inspector, received, session } = await openSession({ filter })
    await inspector.start()
    await (await begin(session, 'hidden')).cancel()
    await settle(inspector)
    expect(received.names).toEqual(['operation-registry agent'])
    expect(received.steps.filter((step) => !step.startsWith('operation-registry agent '))).toEqual([])
    expect(received.steps).not.toContain('operation-registry agent xstate.done.actor.operation')
  })

  it('holds back single events', async () => {
    const filter: StatelyInspectorOptions['filter'] = ({ type }) => type !== '@xstate.event'
    const { inspector, received, session } = await openSession({ filter })
    await inspector.start()
    await begin(session, 'quiet')
    await settle(inspector)
    expect(new Set(received.events.map(({ type }) => type))).toEqual(new Set(['@xstate.actor', '@xstate.snapshot']))
  })
})

describe('sample', () => {
  it('shows about the wanted fraction of the operations, each with its whole story or not at all', async () => {
    const { inspector, received, session } = await openSession({ sample: 0.25, maxQueued: 100_000 })
    await inspector.start()
    const count = 400
    for (let number = 0; number < count; number += 1) {
      const handle = session.run({ kind: tool, displayName: `work ${number}` }, forever)
      await setImmediate()
      await handle.cancel()
    }
    await settle(inspector)
    const shown = received.names.filter((name) => name.startsWith('work'))
    // 100 expected, standard deviation 8.7: six of them either way.
    expect(shown.length).toBeGreaterThan(48)
    expect(shown.length).toBeLessThan(152)
    const occurrences = (step: string): number => received.steps.filter((other) => other === step).length
    for (const name of shown) {
      expect(received.steps.filter((step) => step.startsWith(`${name} `))).toEqual([
        `${name} xstate.init`,
        `${name} xstate.init`,
        `${name} start`,
        `${name} start`,
        `${name} cancel`,
        `${name} cancel`,
      ])
    }
    for (const told of ['register', 'operation.start', 'operation.cancel', 'xstate.done.actor.operation']) {
      expect([told, occurrences(`operation-registry agent ${told}`)]).toEqual([told, 2 * shown.length])
    }
  })

  it.each([
    [0, ['operation-registry agent']],
    [1, ['operation-registry agent', 'one', 'two']],
  ])('of %d shows %j', async (sample, names) => {
    const { inspector, received, session } = await openSession({ sample })
    await inspector.start()
    await begin(session, 'one')
    await begin(session, 'two')
    await settle(inspector)
    expect(received.names).toEqual(names)
  })
})

describe('serialize', () => {
  it('has the last word on what leaves the process', async () => {
    const serialize: StatelyInspectorOptions['serialize'] = (event) => {
      if (event.type === '@xstate.event') return undefined
      return event.type === '@xstate.actor' ? { ...event, name: 'no name' } : event
    }
    const { inspector, received, session } = await openSession({ serialize })
    await inspector.start()
    await begin(session, 'secret')
    await settle(inspector)
    expect(received.names).toEqual(['no name', 'no name'])
    expect(received.events.some(({ type }) => type === '@xstate.event')).toBe(false)
    expect(received.events.map(({ id }) => id)).toEqual(received.events.map((_, index) => String(index + 1)))
  })
})

describe('a fault in what the user hands over', () => {
  const fail = (): never => {
    throw new Error('broken on purpose')
  }

  it.each(['filter', 'serialize'] as const)(
    'of %s never reaches the service, and is counted and logged',
    async (part) => {
      const warnings: string[] = []
      const logger: Logger = { ...silentLogger, warn: (_, message) => warnings.push(message) }
      const { inspector, received, session } = await openSession({ [part]: fail, logger })
      await inspector.start()
      const handle = session.run({ kind: tool, displayName: 'unharmed' }, () => 'fine')
      expect(await handle.outcome).toMatchObject({ type: 'completed', result: { content: 'fine' } })
      await settle(inspector)
      expect(received.events).toEqual([])
      expect(inspector.dropped).toBeGreaterThan(0)
      const lost = 'an event could not be sent to the inspector'
      const untold = 'the inspector could not be notified of missed events'
      expect(new Set(warnings)).toEqual(new Set(part === 'filter' ? [lost] : [lost, untold]))
    },
  )

  it('is announced with the next event that can be shown', async () => {
    let faults = 3
    const serialize: StatelyInspectorOptions['serialize'] = (event) => {
      if (event.type !== '@xstate.event' || event.event.type !== 'tick' || faults === 0) return event
      faults -= 1
      return fail()
    }
    const { inspector, received } = await openSession({ serialize })
    await inspector.start()
    const counter = fromTransition((count: number) => count + 1, 0)
    const actor = createActor(counter, { inspect: inspector.inspect, id: 'counter' }).start()
    for (let tick = 0; tick < 4; tick += 1) actor.send({ type: 'tick' })
    await settle(inspector)
    expect(inspector.dropped).toBe(3)
    expect(received.steps.filter((step) => step.startsWith('counter'))).toEqual([
      'counter xstate.init',
      'counter xstate.init',
      ...Array.from({ length: 3 }, () => ['counter stateward.inspection_gap', 'counter tick']).flat(),
      'counter tick',
      'counter tick',
    ])
    expect(lossIn(received.events)).toEqual({ announced: [1, 1, 1], missing: [1, 1, 1] })
  })

  it('of the filter is announced too', async () => {
    let faults = 2
    const filter: StatelyInspectorOptions['filter'] = (event) => {
      if (event.type === '@xstate.event' && event.event.type === 'tick' && faults-- > 0) return fail()
      return true
    }
    const { inspector, received } = await openSession({ filter })
    await inspector.start()
    const counter = fromTransition((count: number) => count + 1, 0)
    const actor = createActor(counter, { inspect: inspector.inspect, id: 'counter' }).start()
    for (let tick = 0; tick < 2; tick += 1) actor.send({ type: 'tick' })
    await settle(inspector)
    expect(lossIn(received.events)).toEqual({ announced: [1, 1], missing: [1, 1] })
  })

  it('of an adapter that fails to send an introduction is made good by the next event', async () => {
    const adapter = new KeepingAdapter()
    const { send } = adapter
    let faults = 1
    adapter.send = function (event) {
      if (event.type === '@xstate.actor' && event.name === 'counter' && faults-- > 0) return fail()
      send.call(this, event)
    }
    const { inspector, received } = await openSession({}, adapter)
    await inspector.start()
    const counter = fromTransition((count: number) => count + 1, 0)
    createActor(counter, { inspect: inspector.inspect, id: 'counter' }).start().send({ type: 'tick' })
    await settle(inspector)
    expect(received.names).toEqual(['operation-registry agent', 'counter'])
    expect(lossIn(received.events)).toEqual({ announced: [1], missing: [1] })
  })
})

describe('a value that cannot be looked at', () => {
  it('is left out of snapshot, event and introduction, which are sent all the same', async () => {
    const { inspector, received } = await openSession()
    await inspector.start()
    const shy = (): object =>
      Object.defineProperties(
        { kept: 1 },
        {
          displayName: {
            enumerable: true,
            get: () => {
              throw new Error('shy')
            },
          },
          id: {
            enumerable: true,
            get: () => {
              throw new Error('shy')
            },
          },
        },
      )
    const logic = fromTransition(() => shy(), shy())
    const actor = createActor(logic, { inspect: inspector.inspect, id: 'shy' }).start()
    actor.send(Object.assign(shy(), { type: 'look' }))
    class Knock {
      readonly type = 'knock'
    }
    actor.send(new Knock())
    await settle(inspector)
    const shown = { kept: 1, displayName: '[unreadable]', id: '[unreadable]' }
    expect(inspector.dropped).toBe(0)
    expect(received.steps.filter((step) => step.startsWith('shy'))).toEqual(
      ['xstate.init', 'look', 'knock'].flatMap((type) => [`shy ${type}`, `shy ${type}`]),
    )
    expect(received.events.find((event) => event.type === '@xstate.actor' && event.name === 'shy')).toMatchObject({
      snapshot: { status: 'active', context: shown },
    })
    expect(received.events.at(-3)).toMatchObject({ event: { ...shown, type: 'look' }, snapshot: { context: shown } })
    expect(received.events.at(-2)).toMatchObject({ event: { type: 'knock', value: '[Knock]' } })
  })
})

describe('actors that are not those of stateward', () => {
  it('have the id they were given, otherwise that of their chart, and a definition in any case', async () => {
    const { inspector, received } = await openSession()
    await inspector.start()
    const { inspect } = inspector
    const counter = fromTransition((count: number) => count + 1, 0)
    createActor(createMachine({ id: 'door', initial: 'shut', states: { shut: {} } }), { inspect }).start()
    createActor(createMachine({ id: 'door' }), { inspect, id: 'front door' }).start()
    createActor(counter, { inspect, id: 'counter' }).start().send({ type: 'tick' })
    await settle(inspector)
    expect(received.names).toEqual(['operation-registry agent', 'door', 'front door', 'counter'])
    expect(received.events.filter(({ type }) => type === '@xstate.actor')[3]).toMatchObject({
      definition: '{"id":"counter"}',
      snapshot: { status: 'active', context: 0 },
    })
    expect(received.events.at(-1)).toMatchObject({ event: { type: 'tick' }, snapshot: { context: 1 } })
  })
})

describe('stop', () => {
  it('sends what still waits, then lets go of the adapter once', async () => {
    const { inspector, adapter, received, session } = await openSession()
    await inspector.start()
    session.run({ kind: tool, displayName: 'last words' }, forever)
    const stopped = [inspector.stop(), inspector.stop()]
    expect(adapter.stops).toBe(0)
    await Promise.all(stopped)
    expect(received.names).toEqual(['operation-registry agent', 'last words'])
    expect([adapter.stops, inspector.isConnected, inspector.dropped]).toEqual([1, false, 0])
    await begin(session, 'unseen')
    expect(received.names).toHaveLength(2)
  })

  it('makes a start that never connected reject', async () => {
    const { inspector } = await openSession({}, new KeepingAdapter('disconnected'))
    const started = inspector.start()
    await inspector.stop()
    await expect(started).rejects.toMatchObject({ code: 'inspector_stopped' })
    await expect(inspector.start()).rejects.toMatchObject({ code: 'inspector_stopped' })
  })
})

it.each([
  [{ sample: 1.5 }, 'sample'],
  [{ sample: Number.NaN }, 'sample'],
  [{ maxQueued: 0 }, 'maxQueued'],
  [{ maxQueued: 2.5 }, 'maxQueued'],
  [{ url: 'http://127.0.0.1:8080' }, 'url'],
  [{ url: 'ws://' }, 'url'],
  [{ url: 'ws://127.0.0.1:8080', adapter: new KeepingAdapter() }, 'url'],
])('the options %j are refused for their %s', (options, field) => {
  expect(() => createStatelyInspector(options)).toThrow(InvalidInputError)
  expect(() => createStatelyInspector(options)).toThrow(
    expect.objectContaining({ code: 'invalid_input', data: expect.objectContaining({ field }) }),
  )
})
