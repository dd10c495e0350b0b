import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Awaiter } from '../../src/processes/awaiter.js'
import type { ProcessEvent } from '../../src/processes/event.js'
import { noProjector, openProcessStore, type OpenedProcessStore } from '../../src/processes/index.js'
import type { ProcessRegistration } from '../../src/processes/registration.js'
import { methodEffects, watchStore } from '../../src/processes/watched-store.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { settle } from './support/scripted-store.js'

const done = { type: 'success', value: 'done' } as const
const owner = { ownerId: 'worker', incarnationId: 'one' }
const host = { originator: { type: 'host' } } as const

let clock: SimulatedClock
let inner: OpenedProcessStore

beforeEach(async () => {
  clock = new SimulatedClock()
  inner = await openProcessStore({ clock })
})
afterEach(() => inner.close())

const registrationOf = (id: string, disposition: ProcessRegistration['disposition'] = 'externally_owned') =>
  ({
    id,
    input: { type: 'external', metadata: null },
    disposition,
    eventTypes: ['producer.a', 'producer.b', 'signal.go'].map((name) => ({ name, payloadSchema: {}, semantics: {} })),
    provenance: host,
  }) satisfies ProcessRegistration

const appended = (eventType: string) => ({ eventType, payload: null })

describe('what is told of [P-140]', () => {
  it('names every method that a store has', async () => {
    const methods = new Set<string>()
    for (let home = Object.getPrototypeOf(inner); home !== Object.prototype; home = Object.getPrototypeOf(home)) {
      for (const name of Object.getOwnPropertyNames(home)) methods.add(name)
    }
    const others = ['constructor', 'name', 'stream', 'start', 'run', 'runAll', 'renewAll', 'durabilityTier']
    expect(Object.keys(methodEffects).toSorted()).toEqual(
      [...methods].filter((name) => !others.includes(name)).toSorted(),
    )
  })

  it('bumps for exactly the writes that somebody can wait for', async () => {
    const bumping: string[] = []
    for (const [name, { bumps }] of Object.entries(methodEffects)) if (bumps !== undefined) bumping.push(name)
    expect(bumping.toSorted()).toEqual([
      'ackWake',
      'appendEvent',
      'claimAndStart',
      'clearWait',
      'completeProcess',
      'completeWithLease',
      'recordAdoption',
      'recordFirstStarted',
      'recordStep',
      'registerProcess',
      'requestAbandon',
      'setExternalRef',
      'setWait',
    ])
  })

  it('tells who subscribed before the process existed of its registration and its events', async () => {
    const { store, hub } = watchStore(inner)
    using subscription = hub.subscribe('one')
    await store.registerProcess(registrationOf('one'))
    expect(await subscription.changed()).toBe('changed')
    await store.appendEvent('one', appended('producer.a'))
    expect(await subscription.changed()).toBe('changed')
    expect(subscription.hasChanged).toBe(false)
  })

  it('hears of what is written past the wrapper, and a second wrapper has the same hub', async () => {
    const { hub } = watchStore(inner)
    using subscription = hub.subscribe('one')
    await inner.registerProcess(registrationOf('one'))
    expect(await subscription.changed()).toBe('changed')
    expect(watchStore(inner).hub).toBe(hub)
  })

  it('says nothing of leases, handles, acknowledged sessions and pruning', async () => {
    const { store, hub } = watchStore(inner)
    for (const id of ['live', 'ended']) await store.registerProcess(registrationOf(id))
    await store.completeProcess('ended', done)
    clock.advance(1000)
    using live = hub.subscribe('live')
    using ended = hub.subscribe('ended')
    await store.claimLease('live', owner, 1000)
    await store.grantHandle({ sessionId: 's' }, 'live', {})
    await store.deleteSessionProcessState('s')
    const report = await store.pruneTerminal(Number.POSITIVE_INFINITY, { watermark: noProjector })
    expect(report.prunedProcesses).toBe(1)
    expect([live.hasChanged, ended.hasChanged]).toEqual([false, false])
  })

  it('says nothing of a call that failed', async () => {
    const { store, hub } = watchStore(inner)
    await store.registerProcess(registrationOf('one'))
    using subscription = hub.subscribe('one')
    await expect(store.appendEvent('one', appended('unheard.of'))).rejects.toMatchObject({
      code: 'process.event_undeclared',
    })
    expect(subscription.hasChanged).toBe(false)
  })

  it('wakes 16 waiters with one completion, all with the same output', async () => {
    const { store, hub } = watchStore(inner)
    await store.registerProcess(registrationOf('one'))
    using awaiter = new Awaiter({ store, hub, clock })
    const waiting = Array.from({ length: 16 }, () => awaiter.awaitTerminal('one'))
    await settle()
    await store.completeProcess('one', done)
    const outputs = await Promise.all(waiting)
    expect(new Set(outputs).size).toBe(1)
    expect(outputs[0]).toEqual(done)
    expect([hub.trackedProcesses(), clock.pendingTimeouts]).toEqual([0, 0])
  })
})

describe('the sink [P-144]', () => {
  const seenBy = (seen: string[]) => ({
    emit: ({ eventType, sequence }: ProcessEvent) => void seen.push(`${eventType} ${sequence}`),
  })

  it('is given appended events in their order, and no end', async () => {
    const seen: string[] = []
    const { store } = watchStore(inner, { sink: seenBy(seen) })
    await store.registerProcess(registrationOf('one'))
    await Promise.all([
      store.appendEvent('one', appended('producer.a')),
      store.appendEvent('one', appended('producer.b')),
    ])
    await store.completeProcess('one', done)
    expect(seen).toEqual(['producer.a 1', 'producer.b 2'])
  })

  it('is not given an event twice for a retry under its key', async () => {
    const seen: string[] = []
    const { store } = watchStore(inner, { sink: seenBy(seen) })
    await store.registerProcess(registrationOf('one'))
    const request = { ...appended('producer.a'), replay: { key: 'once' } }
    expect(await store.appendEvent('one', request)).toMatchObject({ replayed: false })
    expect(await store.appendEvent('one', request)).toMatchObject({ replayed: true })
    expect(seen).toEqual(['producer.a 1'])
  })

  it('is given no event that a producer declared to be an end', async () => {
    const seen: string[] = []
    const { store } = watchStore(inner, { sink: seenBy(seen) })
    const finished = {
      name: 'producer.done',
      payloadSchema: {},
      semantics: { terminal: { state: 'completed' } },
    } as const
    await store.registerProcess({ ...registrationOf('one'), eventTypes: [finished] })
    await store.appendEvent('one', { ...appended('producer.done'), replay: { key: 'once' } })
    expect(await store.getTerminal('one')).toMatchObject({ state: 'ended', status: 'completed' })
    expect(seen).toEqual([])
  })

  it('is given ends and transitions too where that was asked for, after the hub was told', async () => {
    const seen: string[] = []
    const { store, hub } = watchStore(inner, { sink: seenBy(seen), emitLifecycle: true })
    await store.registerProcess(registrationOf('one'))
    using subscription = hub.subscribe('one')
    await store.requestAbandon('one', { requestedBy: 'somebody', requestedAtMs: 1 })
    await store.appendEvent('one', appended('producer.a'))
    await store.completeProcess('one', done)
    await store.completeProcess('one', done)
    expect(seen).toEqual(['process.abandon_requested 1', 'producer.a 2', 'process.completed 3'])
    expect(subscription.hasChanged).toBe(true)
  })

  it('that drops events is made good by the log', async () => {
    const received: number[] = []
    const { store } = watchStore(inner, {
      sink: { emit: ({ sequence }) => void (sequence % 2 === 1 && received.push(sequence)) },
    })
    await store.registerProcess(registrationOf('one'))
    for (let count = 0; count < 6; count += 1) await store.appendEvent('one', appended('producer.a'))
    await store.completeProcess('one', done)
    expect(received).toEqual([1, 3, 5])
    const log = await store.eventsAfter('one', 0)
    expect(log.filter(({ eventType }) => eventType === 'producer.a').map(({ sequence }) => sequence)).toEqual([
      1, 2, 3, 4, 5, 6,
    ])
  })

  it('that is slow holds up the append for its time, and no waiter', async () => {
    const { store, hub, sinkCounts } = watchStore(inner, { sink: { emit: () => new Promise(() => {}) }, clock })
    await store.registerProcess(registrationOf('one'))
    using awaiter = new Awaiter({ store, hub, clock })
    const waiting = awaiter.awaitEvent('one', 'producer.a', 0)
    let isAppended = false
    const appending = store.appendEvent('one', appended('producer.a')).then(() => (isAppended = true))
    expect(await waiting).toMatchObject({ sequence: 1 })
    await settle()
    expect(isAppended).toBe(false)
    clock.advance(1000)
    await appending
    await store.appendEvent('one', appended('producer.b'))
    expect(sinkCounts()).toEqual({ emitted: 1, failed: 0, dropped: 1 })
  })

  it('that throws harms no append', async () => {
    const emit = (): never => {
      throw new Error('no')
    }
    const { store, sinkCounts } = watchStore(inner, { sink: { emit } })
    await store.registerProcess(registrationOf('one'))
    expect(await store.appendEvent('one', appended('producer.a'))).toMatchObject({ event: { sequence: 1 } })
    expect(sinkCounts().failed).toBe(1)
  })
})

describe('events that cannot be read for the sink [P-280]', () => {
  it('are left out: a call that has succeeded is no failure for that', async () => {
    await inner.registerProcess(registrationOf('p'))
    const flaky = new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (name === 'eventsAfter') return () => Promise.reject(new Error('no read'))
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const { store } = watchStore(flaky, { sink: { emit: () => {} }, emitLifecycle: true, clock })
    expect((await store.completeProcess('p', done)).outcome).toBe('committed')
  })

  it('and a lease that is none is refused as ever', async () => {
    const { store } = watchStore(inner, { sink: { emit: () => {} }, emitLifecycle: true, clock })
    await expect(store.completeWithLease(undefined as never, done)).rejects.toMatchObject({ code: 'invalid_input' })
  })
})

it('a session that is named like a frame of another one gets no handles (P-284)', async () => {
  await inner.registerProcess(registrationOf('p'))
  await inner.grantHandle({ sessionId: 'a', agentFrameId: 'b' }, 'p', {})
  const granting = inner.grantHandle({ sessionId: 'a/frame:b' }, 'p', {})
  await expect(granting).rejects.toMatchObject({ code: 'invalid_input', data: { field: 'sessionId' } })
  const asking = inner.hasHandleGrant({ sessionId: 'a/frame:b' }, 'p')
  await expect(asking).rejects.toMatchObject({ code: 'invalid_input' })
})
