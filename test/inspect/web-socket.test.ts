import { setImmediate } from 'node:timers/promises'
import { createRuntime } from 'stateward'
import { createStatelyInspector } from 'stateward/inspect'
import { expect, it, onTestFinished } from 'vitest'
import { loadWebSocket } from '../../src/inspect/web-socket.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { startListener } from './support/listener.js'
import { lossIn, sumOf } from './support/loss.js'

const tool = 'background_tool_op'
const forever = (): Promise<never> => new Promise(() => {})

async function openService(url: string, maxQueued = 1000) {
  const clock = new SimulatedClock()
  const inspector = createStatelyInspector({ url, clock, maxQueued, reconnectMs: 2000 })
  const runtime = await createRuntime({ inspect: inspector.inspect })
  onTestFinished(() => runtime.close({ policy: 'terminate' }))
  return { clock, inspector, session: runtime.session('agent') }
}

it('connects again after the other end hung up, and introduces what runs', async () => {
  await using listener = await startListener()
  const { clock, inspector, session } = await openService(listener.url)
  await inspector.start()
  session.run({ kind: tool, displayName: 'long work' }, forever)
  await listener.received.until((event) => event.type === '@xstate.snapshot' && event.event.type === 'start')
  listener.received.events.length = 0

  listener.hangUp()
  await expect.poll(() => inspector.isConnected, { interval: 1 }).toBe(false)
  clock.advance(1999)
  expect(clock.pendingTimeouts).toBe(1)
  clock.advance(1)
  await listener.received.until((event) => event.type === '@xstate.actor' && event.name === 'long work')
  expect(listener.received.names).toEqual(['operation-registry agent', 'long work'])
  await inspector.stop()
  expect(clock.pendingTimeouts).toBe(0)
})

it('keeps trying while nobody listens, and can be stopped meanwhile', async () => {
  const gone = await startListener()
  await gone[Symbol.asyncDispose]()
  const { clock, inspector, session } = await openService(gone.url)
  const started = inspector.start()
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await expect.poll(() => clock.pendingTimeouts, { interval: 1 }).toBe(1)
    clock.advance(2000)
  }
  const handle = session.run({ kind: tool, displayName: 'undisturbed' }, () => 'fine')
  expect(await handle.outcome).toMatchObject({ type: 'completed' })
  await inspector.stop()
  await expect(started).rejects.toMatchObject({ code: 'inspector_stopped' })
  expect([inspector.dropped, clock.pendingTimeouts]).toEqual([0, 0])
})

it('stops sending to a listener that does not read, drops the oldest, and goes on when it reads again', async () => {
  await using listener = await startListener()
  const maxQueued = 200
  const { inspector, session } = await openService(listener.url, maxQueued)
  await inspector.start()
  await listener.received.until(({ type }) => type === '@xstate.actor')
  listener.pause()
  // Each operation shows about 16 kB: the buffers of the system and of the adapter are full some time.
  const displayName = 'x'.repeat(1000)
  let mostQueued = 0
  let runs = 0
  while (inspector.dropped < 1000) {
    runs += 1
    await session.run({ kind: tool, displayName: `${runs} ${displayName}` }, () => displayName.repeat(2)).outcome
    await setImmediate()
    mostQueued = Math.max(mostQueued, inspector.queued)
  }
  expect(mostQueued).toBe(maxQueued)

  listener.resume()
  const last = session.run({ kind: tool, displayName: 'the last one' }, () => 'done')
  await last.outcome
  await listener.received.until((event) => event.type === '@xstate.actor' && event.name === 'the last one')
  const known = new Set<string>()
  for (const event of listener.received.events) {
    if (event.type === '@xstate.actor') known.add(event.sessionId)
    expect(known).toContain(event.sessionId)
  }
  // What was sent arrived whole and in order: only what was never sent is missing, and the viewer knows how much that is.
  const { announced, missing } = lossIn(listener.received.events)
  expect(announced).toEqual(missing)
  expect(sumOf(announced)).toBe(inspector.dropped)
  await inspector.stop()
})

it('gives up on a listener that reads nothing when it is stopped', async () => {
  await using listener = await startListener()
  const { clock, inspector, session } = await openService(listener.url)
  await inspector.start()
  await listener.received.until(({ type }) => type === '@xstate.actor')
  listener.pause()
  const displayName = 'x'.repeat(1000)
  while (inspector.dropped === 0) {
    await session.run({ kind: tool, displayName }, () => displayName.repeat(2)).outcome
    await setImmediate()
  }
  const stopped = inspector.stop()
  let isStopped = false
  void stopped.then(() => (isStopped = true))
  // One second for what still waits, one for the answer to the close.
  await expect.poll(() => clock.pendingTimeouts, { interval: 1 }).toBe(1)
  clock.advance(1000)
  await expect.poll(() => clock.pendingTimeouts, { interval: 1 }).toBe(1)
  expect(isStopped).toBe(false)
  clock.advance(1000)
  await stopped
  expect([inspector.queued, clock.pendingTimeouts]).toEqual([0, 0])
})

it('says what to install when the peer dependency is missing', () => {
  expect(() => loadWebSocket('file:///nowhere/near/module.js')).toThrow(
    expect.objectContaining({
      code: 'inspector_unavailable',
      data: { package: '@statelyai/inspect' },
      message: expect.stringContaining('npm install --save-dev @statelyai/inspect'),
    }),
  )
})
