import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { StatelyInspectionEvent as OfficialEvent } from '@statelyai/inspect'
import { createRuntime } from 'stateward'
import { createStatelyInspector, protocolVersion, type StatelyInspectionEvent } from 'stateward/inspect'
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'
import { lossIn, sumOf } from './support/loss.js'
import { startOfficialServer, type OfficialServer } from './support/official-server.js'

const turnId = '0199d2a0-0000-7000-8000-000000000001'
const tool = 'background_tool_op'

type ActorEvent = Extract<OfficialEvent, { type: '@xstate.actor' }>

let server: OfficialServer

/** One session: an operation that completes, one that is cancelled, a barrier over both. */
beforeAll(async () => {
  server = await startOfficialServer()
  await using inspector = createStatelyInspector({ url: server.url })
  await inspector.start()
  {
    await using runtime = await createRuntime({ inspect: inspector.inspect })
    const session = runtime.session('agent')
    const compile = session.run({ kind: tool, displayName: 'compile' }, ({ progress }) => {
      progress('half way', 0.5)
      return 'compiled'
    })
    const fetching = session.run(
      { kind: tool, displayName: 'fetch docs' },
      ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    )
    const wait = session.waitAll(turnId, [compile.id, fetching.id])
    await compile.outcome
    await fetching.cancel('not needed')
    await wait
  }
  await inspector.stop()
  await server.until((events) => events.some((event) => isSnapshot(event) && event.snapshot.status === 'stopped'))
  expect(inspector.dropped).toBe(0)
})

afterAll(() => server[Symbol.asyncDispose]())

function isSnapshot(event: OfficialEvent): event is Extract<OfficialEvent, { type: '@xstate.snapshot' }> {
  return event.type === '@xstate.snapshot'
}

function registrations(): ActorEvent[] {
  return server.received.filter((event) => event.type === '@xstate.actor')
}

function registrationOf(name: string): ActorEvent {
  const [found, ...others] = registrations().filter((event) => event.name === name)
  if (found === undefined || others.length > 0) throw new Error(`${name} is not registered exactly once`)
  return found
}

/** What the receiver was told about an actor, in order: events by type, snapshots by state and status. */
function storyOf(name: string): string[] {
  const { sessionId } = registrationOf(name)
  return server.received
    .filter((event) => event.sessionId === sessionId)
    .map((event) => {
      if (event.type === '@xstate.event') return `< ${event.event.type}`
      const { value, status } = event.snapshot as { value?: string; status?: string }
      return `${event.type === '@xstate.actor' ? 'registered' : '>'} ${value} ${status}`
    })
}

describe('the official receiver', () => {
  it('is told of every actor once, under the name that people gave it', () => {
    expect(registrations().map(({ name }) => name)).toEqual([
      'operation-registry agent',
      'compile',
      'fetch docs',
      'wait-all-barrier',
    ])
    expect(new Set(registrations().map(({ sessionId }) => sessionId)).size).toBe(4)
  })

  it('is told the session id of parent and root', () => {
    const [registry, ...children] = registrations()
    expect(registry?.sessionId).toMatch(/^x:\d+$/)
    expect(registry).toMatchObject({ rootId: registry?.sessionId })
    expect(registry).not.toHaveProperty('parentId')
    for (const child of children) {
      expect(child).toMatchObject({ parentId: registry?.sessionId, rootId: registry?.sessionId })
    }
  })

  it.each([
    ['operation-registry agent', 'operation-registry', ['open', 'draining', 'retired', 'poisoned']],
    ['wait-all-barrier', 'wait-all-barrier', ['waiting', 'satisfied', 'acknowledged', 'cancelled', 'faulted']],
    [
      'compile',
      'operation',
      ['provisioning', 'running', 'retiring', 'completed', 'failed', 'aborted', 'cancelled', 'retired', 'terminated'],
    ],
  ])('is given the chart of %s', (name, id, states) => {
    const definition = JSON.parse(registrationOf(name).definition ?? '')
    expect(definition.id).toBe(id)
    expect(Object.keys(definition.states)).toEqual(states)
  })

  it('sees each step of an operation in order, up to a final snapshot that is done', () => {
    expect(storyOf('compile')).toEqual([
      'registered provisioning active',
      '< xstate.init',
      '> provisioning active',
      '< start',
      '> running active',
      '< progress_reported',
      '> running active',
      '< complete',
      '> completed done',
    ])
    expect(storyOf('fetch docs').slice(-2)).toEqual(['< cancel', '> cancelled done'])
  })

  it('sees the barrier count down and the obligation acknowledged', () => {
    expect(storyOf('wait-all-barrier')).toEqual([
      'registered waiting active',
      '< xstate.init',
      '> waiting active',
      '< begin',
      '> waiting active',
      '< member_ended',
      '> waiting active',
      '< member_ended',
      '> satisfied active',
      '< acknowledge',
      '> acknowledged done',
    ])
  })

  it('sees the outcome in the last snapshot of an operation', () => {
    const { sessionId } = registrationOf('compile')
    const last = server.received.filter((event) => isSnapshot(event) && event.sessionId === sessionId).at(-1)
    expect(last).toMatchObject({
      event: { type: 'complete' },
      snapshot: {
        status: 'done',
        value: 'completed',
        context: { displayName: 'compile', progressCount: 1 },
        output: { type: 'completed', result: { content: 'compiled', isError: false } },
      },
    })
  })

  it('learns which actor sent an event', () => {
    const { sessionId: registry } = registrationOf('operation-registry agent')
    const { sessionId: operation } = registrationOf('compile')
    const relayed = server.received.filter((event) => event.type === '@xstate.event' && event.sourceId === operation)
    expect(relayed).toHaveLength(1)
    expect(relayed[0]).toMatchObject({ sessionId: registry, event: { type: 'xstate.done.actor.operation' } })
  })

  it('gets numbered events whose actors it knows already', () => {
    const known = new Set<string>()
    for (const [index, event] of server.received.entries()) {
      expect(event.id).toBe(String(index + 1))
      if (event.type === '@xstate.actor') known.add(event.sessionId)
      expect(known).toContain(event.sessionId)
    }
  })
})

it('tells the official receiver what it has missed', async () => {
  await using receiver = await startOfficialServer()
  await using inspector = createStatelyInspector({ url: receiver.url, maxQueued: 10 })
  await inspector.start()
  await using runtime = await createRuntime({ inspect: inspector.inspect })
  const session = runtime.session('agent')
  // One turn of the loop makes far more events than may wait.
  const runs = Array.from({ length: 20 }, (_, number) => session.run({ kind: tool, displayName: `${number}` }, () => 1))
  await Promise.all(runs.map(({ outcome }) => outcome))
  await inspector.stop()
  const { dropped } = inspector
  expect(dropped).toBeGreaterThan(0)
  await receiver.until((events) => sumOf(lossIn(events).announced) === dropped)
  const { announced, missing } = lossIn(receiver.received)
  expect(announced).toEqual(missing)
  const [registry] = receiver.received
  expect(registry).toMatchObject({ type: '@xstate.actor', name: 'operation-registry agent' })
  const notices = receiver.received.filter(isGapNotice)
  expect(notices).toHaveLength(announced.length)
  for (const notice of notices) {
    expect(notice).toMatchObject({
      sessionId: registry?.sessionId,
      rootId: registry?.rootId,
      _version: protocolVersion,
    })
    expect(notice).not.toHaveProperty('sourceId')
  }
})

it('tells the official receiver every event once, in order, also while somebody looks by the inspector', async () => {
  const told = async (isWatched: boolean): Promise<readonly string[]> => {
    await using receiver = await startOfficialServer()
    await using inspector = createStatelyInspector({ url: receiver.url })
    await inspector.start()
    await using runtime = await createRuntime({ inspect: inspector.inspect })
    const seen: string[] = []
    using _ = isWatched ? runtime.inspected.inspection.watch(({ type }) => seen.push(type)) : undefined
    const session = runtime.session('agent')
    await session.run({ kind: tool, displayName: 'compile' }, () => 'compiled').outcome
    await inspector.stop()
    expect(inspector.dropped).toBe(0)
    expect(seen.length > 0).toBe(isWatched)
    await receiver.until((events) => events.some((event) => isSnapshot(event) && event.snapshot.status === 'done'))
    expect(receiver.received.map(({ id }) => id)).toEqual(receiver.received.map((_event, index) => String(index + 1)))
    return receiver.received.map((event) => `${event.type} ${'event' in event ? event.event.type : event.name}`)
  }
  expect(await told(true)).toEqual(await told(false))
})

function isGapNotice(event: OfficialEvent): boolean {
  return event.type === '@xstate.event' && event.event.type === 'stateward.inspection_gap'
}

describe('the protocol', () => {
  it('is that of the installed release', () => {
    const entry = createRequire(import.meta.url).resolve('@statelyai/inspect')
    const { version } = createRequire(import.meta.url)(join(dirname(entry), '..', 'package.json'))
    expect(protocolVersion).toBe(version)
    expect(server.received.every(({ _version }) => _version === version)).toBe(true)
  })

  it('has the official types', () => {
    const takeOfficial = (event: OfficialEvent): string => event.type
    expectTypeOf(takeOfficial).toBeCallableWith({} as StatelyInspectionEvent)
  })
})
