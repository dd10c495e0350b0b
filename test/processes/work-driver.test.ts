import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createActor, toPromise } from 'xstate'
import { createRuntime } from '../../src/index.js'
import { Awaiter } from '../../src/processes/awaiter.js'
import { openProcessStore, type AwaitOutput, type OpenedProcessStore } from '../../src/processes/index.js'
import { checkDurability } from '../../src/processes/durability.js'
import { processEnd, processEvent } from '../../src/processes/wait-logic.js'
import { watchStore } from '../../src/processes/watched-store.js'
import { WorkDriver, type ProcessAttach, type RunHandle } from '../../src/processes/work-driver.js'
import { external } from '../../src/testing/processes/fixture.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { settle } from './support/scripted-store.js'

const done: AwaitOutput = { type: 'success', value: 'done' }

let clock: SimulatedClock
let open: OpenedProcessStore
let awaiter: Awaiter
let warnings: object[]

beforeEach(async () => {
  clock = new SimulatedClock()
  open = await openProcessStore({ clock })
  awaiter = new Awaiter({ store: open, hub: open.hub ?? watchStore(open).hub, clock })
  warnings = []
  await open.registerProcess(external('p'))
})
afterEach(async () => {
  awaiter[Symbol.dispose]()
  await open.close()
})

function driverOf(
  attach?: ProcessAttach,
  runs: RunHandle = { claimAndRunPending: () => Promise.reject(new Error('no')) },
) {
  const { store, hub } = watchStore(open)
  const logger = { debug() {}, info() {}, warn: (fields: object) => void warnings.push(fields), error() {} }
  const driver = new WorkDriver({ store, hub, awaiter, runs, clock, logger })
  if (attach !== undefined) driver.attach(attach)
  return driver
}

describe('an engine that owns the wait [P-177]', () => {
  it('is not asked for what has ended', async () => {
    const awaitTerminal = vi.fn(async () => done)
    await open.completeProcess('p', done)
    expect(await driverOf({ awaitTerminal }).awaitTerminal('p')).toEqual(done)
    expect(awaitTerminal).not.toHaveBeenCalled()
  })

  it('is asked once per wait, and its answer and its failure are the answer', async () => {
    const failure = new Error('engine is gone')
    const answers = [() => Promise.resolve(done), () => Promise.reject(failure)]
    const awaitTerminal = vi.fn(() => (answers.shift() as () => Promise<AwaitOutput>)())
    const driver = driverOf({ awaitTerminal })
    expect(await driver.awaitTerminal('p')).toEqual(done)
    await expect(driver.awaitTerminal('p')).rejects.toBe(failure)
    expect(awaitTerminal.mock.calls.length).toBe(2)
  })

  it('is bounded by signal and time limit, whether it keeps to them or not', async () => {
    const driver = driverOf({ awaitTerminal: () => new Promise(() => {}) })
    const controller = new AbortController()
    const given = driver.awaitTerminal('p', { signal: controller.signal })
    const limited = driver.awaitTerminal('p', { timeoutMs: 300 })
    const settled = Promise.allSettled([given, limited])
    await settle()
    const reason = new Error('enough')
    controller.abort(reason)
    clock.advance(300)
    const [byReason, byTime] = await settled
    expect(byReason).toMatchObject({ status: 'rejected', reason })
    expect(byTime).toMatchObject({ status: 'rejected', reason: { code: 'process.await_timeout' } })
    expect([clock.pendingTimeouts, getEventListeners(controller.signal, 'abort').length]).toEqual([0, 0])
  })

  it('knows nothing of events: those come from the store', async () => {
    const driver = driverOf({ awaitTerminal: () => new Promise(() => {}) })
    const waiting = driver.awaitEvent('p', 'note', 0)
    await open.appendEvent('p', { eventType: 'note', payload: 1 })
    expect(await waiting).toMatchObject({ sequence: 1 })
  })
})

it('a drive that fails is logged with what it was for, and rejects', async () => {
  await expect(driverOf().claimAndRunPending('session opened')).rejects.toThrow('no')
  expect(warnings).toMatchObject([{ reason: 'session opened' }])
})

describe('machines that wait [P-178]', () => {
  it('are given the end and events of a process', async () => {
    const ended = createActor(processEnd(awaiter), { input: { processId: 'p' } }).start()
    const noted = createActor(processEvent(awaiter), { input: { processId: 'p', eventType: 'note' } }).start()
    await open.appendEvent('p', { eventType: 'note', payload: 1 })
    await open.completeProcess('p', done)
    expect(await toPromise(ended)).toEqual(done)
    expect(await toPromise(noted)).toMatchObject({ sequence: 1 })
  })

  it('end their wait when they are stopped', async () => {
    const actor = createActor(processEnd(awaiter), { input: { processId: 'p' } }).start()
    await settle()
    expect(awaiter.size).toBe(1)
    actor.stop()
    await settle()
    expect(awaiter.size).toBe(0)
  })
})

describe('what runs need beside the store [P-180]', () => {
  const facets = [
    { name: 'attachments', tier: 'durable' },
    { name: 'environments', tier: 'inline' },
    { name: 'triggers', tier: 'inline' },
  ] as const

  it('is durable where processes are: the first that is not is named', () => {
    expect(() => checkDurability('durable', facets)).toThrow(
      expect.objectContaining({ code: 'process.facet_inline', data: { facet: 'environments' } }),
    )
    expect(() => checkDurability('durable', facets.slice(0, 1))).not.toThrow()
  })

  it('may be anything where processes end with their host', async () => {
    await using runtime = await createRuntime({ processes: { facets } })
    expect(runtime.processes.store.durabilityTier()).toBe('inline')
  })
})
