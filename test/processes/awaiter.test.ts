import { getEventListeners } from 'node:events'
import { beforeEach, describe, expect, it } from 'vitest'
import { silence } from '../../src/base/promises.js'
import { Awaiter } from '../../src/processes/awaiter.js'
import { openProcessStore } from '../../src/processes/index.js'
import { nextPollMs, shortestPollMs } from '../../src/processes/shared-wait.js'
import { engine } from '../../src/testing/processes/fixture.js'
import { SimulatedClock } from '../../src/testing/simulated-clock.js'
import { ScriptedStore, settle } from './support/scripted-store.js'

const done = { type: 'success', value: 'done' } as const

let clock: SimulatedClock
let store: ScriptedStore
let polling: Awaiter
let hubBacked: Awaiter

beforeEach(() => {
  clock = new SimulatedClock(0)
  store = new ScriptedStore(() => clock.wallNow())
  polling = new Awaiter({ store, clock })
  hubBacked = new Awaiter({ store, hub: store.hub, clock })
})

/** Moves the clock millisecond by millisecond, so that every read happens at its own time. */
async function pass(milliseconds: number): Promise<void> {
  for (let passed = 0; passed < milliseconds; passed += 5) {
    clock.advance(5)
    await settle()
  }
}

describe('backoff [P-150]', () => {
  it('is 25, 50, 100, 200, 400, 800, and then 1000 for ever', () => {
    const schedule = [shortestPollMs]
    for (let step = 0; step < 8; step += 1) schedule.push(nextPollMs(schedule.at(-1) ?? 0))
    expect(schedule).toEqual([25, 50, 100, 200, 400, 800, 1000, 1000, 1000])
  })

  it('reads at 0, 25, 75, 175, 375, 775, 1575 and 2575 when nothing ticks', async () => {
    const waiting = polling.awaitTerminal('one')
    await settle()
    await pass(2600)
    expect(store.reads).toEqual([0, 25, 75, 175, 375, 775, 1575, 2575])
    store.complete(done)
    await pass(1000)
    expect(await waiting).toEqual(done)
    expect(clock.pendingTimeouts).toBe(0)
  })

  it('polls behind a hub too when others may write, and begins anew with each tick', async () => {
    void hubBacked.awaitTerminal('one')
    await settle()
    await pass(400)
    store.hub.notify('one')
    await settle()
    await pass(30)
    expect(store.reads).toEqual([0, 25, 75, 175, 375, 400, 425])
  })

  it('reads nothing while idle where the hub hears of everything', async () => {
    store.writers = 'this_hub'
    const waiting = hubBacked.awaitTerminal('one')
    await settle()
    await pass(5000)
    expect([store.reads, clock.pendingTimeouts]).toEqual([[0], 0])
    store.complete(done)
    store.hub.notify('one')
    expect(await waiting).toEqual(done)
  })

  it('falls back to the timer, at the pace that it has, when the hub is closed under it', async () => {
    const waiting = hubBacked.awaitTerminal('one')
    await settle()
    await pass(80)
    store.hub.close()
    await settle()
    await pass(320)
    // Without the hub 75 is followed by 175; closing it makes one look at once, and the sleep of 100 begins again there.
    expect(store.reads).toEqual([0, 25, 75, 80, 180, 380])
    store.complete(done)
    await pass(400)
    expect(await waiting).toEqual(done)
  })

  it('falls back to the timer also where the hub heard of everything', async () => {
    store.writers = 'this_hub'
    const waiting = hubBacked.awaitTerminal('one')
    await settle()
    store.hub.close()
    await settle()
    store.complete(done)
    await pass(50)
    expect(await waiting).toEqual(done)
  })
})

describe('no lost wake-up [P-153]', () => {
  it('finds what was written between the subscription and the read', async () => {
    store.writers = 'this_hub'
    const waiting = hubBacked.awaitTerminal('one')
    store.complete(done)
    store.hub.notify('one')
    expect(await waiting).toEqual(done)
  })

  it('finds what was written while a read was under way that had begun before', async () => {
    store.writers = 'this_hub'
    let open!: () => void
    store.gate = new Promise((resolve) => (open = resolve))
    const waiting = hubBacked.awaitTerminal('one')
    await settle()
    store.complete(done)
    store.hub.notify('one')
    open()
    expect(await waiting).toEqual(done)
    expect(store.reads).toHaveLength(2)
  })

  it('gives who joins during a read one that begins after, and shares it', async () => {
    store.writers = 'this_hub'
    let open!: () => void
    store.gate = new Promise((resolve) => (open = resolve))
    const first = hubBacked.awaitTerminal('one')
    await settle()
    store.complete(done)
    const later = Array.from({ length: 15 }, () => hubBacked.awaitTerminal('one'))
    open()
    const outputs = await Promise.all([first, ...later])
    expect(outputs).toEqual(Array.from({ length: 16 }, () => done))
    expect(store.reads).toHaveLength(2)
    expect(store.hub.trackedProcesses()).toBe(0)
  })
})

describe('ends', () => {
  it('rejects at once for an unknown process, also under the wait', async () => {
    store.terminal = { state: 'unknown' }
    await expect(polling.awaitTerminal('missing')).rejects.toThrow('unknown process `missing`')
    store.terminal = { state: 'running' }
    const waiting = polling.awaitTerminal('one')
    await settle()
    store.terminal = { state: 'unknown' }
    clock.advance(25)
    await expect(waiting).rejects.toMatchObject({ code: 'process.unknown' })
  })

  it('answers for a pruned process what is known of it', async () => {
    store.terminal = { state: 'pruned', terminalLabel: 'failed', prunedAtMs: 7 }
    const output = { type: 'no_longer_retained', terminalLabel: 'failed', prunedAtMs: 7 }
    expect(await polling.awaitTerminal('one')).toEqual(output)
  })

  it('hands on what the store fails with', async () => {
    store.failure = new Error('disk is gone')
    await expect(polling.awaitTerminal('one')).rejects.toBe(store.failure)
    expect([polling.size, clock.pendingTimeouts]).toEqual([0, 0])
  })
})

describe('events', () => {
  it('resolves with one that is there, and never with one at or before the cursor', async () => {
    store.append('a')
    store.append('b')
    store.append('a')
    expect(await polling.awaitEvent('one', 'a', 0)).toMatchObject({ sequence: 1 })
    expect(await polling.awaitEvent('one', 'a', 1)).toMatchObject({ sequence: 3 })
    const waiting = hubBacked.awaitEvent('one', 'a', 3)
    await settle()
    store.append('b')
    store.hub.notify('one')
    await settle()
    store.append('a')
    store.hub.notify('one')
    expect(await waiting).toMatchObject({ sequence: 5 })
  })

  it('waits on beyond the end unless told otherwise', async () => {
    store.complete(done)
    await expect(polling.awaitEvent('one', 'a', 0, { stopOnTerminal: true })).rejects.toMatchObject({
      code: 'process.already_terminal',
      data: { processId: 'one', status: 'completed' },
    })
    const waiting = polling.awaitEvent('one', 'a', 0)
    await settle()
    store.append('a')
    clock.advance(25)
    expect(await waiting).toMatchObject({ sequence: 1 })
  })
})

describe('bounds [P-156]', () => {
  it('a signal that has aborted leaves store and hub alone', async () => {
    const reason = new Error('changed my mind')
    await expect(hubBacked.awaitTerminal('one', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect([store.reads, store.hub.trackedProcesses()]).toEqual([[], 0])
  })

  it('gives up with the reason, during a sleep and during a read, and leaves nothing behind', async () => {
    let open!: () => void
    for (const isReading of [false, true]) {
      store.gate = isReading ? new Promise((resolve) => (open = resolve)) : undefined
      const controller = new AbortController()
      const waiting = hubBacked.awaitTerminal('one', { signal: controller.signal, timeoutMs: 60_000 })
      await settle()
      const reason = new Error('enough')
      controller.abort(reason)
      await expect(waiting).rejects.toBe(reason)
      expect([store.hub.trackedProcesses(), clock.pendingTimeouts]).toEqual([0, 0])
      expect(getEventListeners(controller.signal, 'abort')).toEqual([])
      open?.()
      await settle()
      expect(clock.pendingTimeouts).toBe(0)
    }
  })

  it('times out, and the process goes on', async () => {
    const waiting = hubBacked.awaitTerminal('one', { timeoutMs: 300 })
    const rejected = silence(waiting)
    await settle()
    await pass(300)
    await expect(rejected).rejects.toMatchObject({
      code: 'process.await_timeout',
      data: { processId: 'one', timeoutMs: 300 },
    })
    expect([store.hub.trackedProcesses(), clock.pendingTimeouts]).toEqual([0, 0])
  })

  it('looks exactly once with a limit of 0', async () => {
    await expect(polling.awaitTerminal('one', { timeoutMs: 0 })).rejects.toMatchObject({
      code: 'process.await_timeout',
    })
    expect(store.reads).toHaveLength(1)
    store.complete(done)
    expect(await polling.awaitTerminal('one', { timeoutMs: 0 })).toEqual(done)
    expect(store.reads).toHaveLength(2)
  })

  it('settles once when the end and the abort come in one turn', async () => {
    const controller = new AbortController()
    const waiting = hubBacked.awaitTerminal('one', { signal: controller.signal })
    await settle()
    store.complete(done)
    store.hub.notify('one')
    controller.abort(new Error('too late or not'))
    await expect(waiting).rejects.toThrow('too late or not')
    await settle()
    expect(store.hub.trackedProcesses()).toBe(0)
  })

  it('is no other wait whose id and type are the same letters: both may hold blanks (P-278)', async () => {
    const real = await openProcessStore()
    const eventTypes = [{ name: 'c', payloadSchema: {}, semantics: {} }]
    for (const id of ['a', 'a b']) await real.registerProcess({ ...engine(id), eventTypes })
    const awaiter = new Awaiter({ store: real, ...(real.hub && { hub: real.hub }), clock })
    const one = silence(awaiter.awaitEvent('a', 'b c', 0))
    const other = awaiter.awaitEvent('a b', 'c', 0)
    await settle()
    expect(awaiter.size).toBe(2)
    await real.appendEvent('a b', { eventType: 'c', payload: 1 })
    expect(await other).toMatchObject({ processId: 'a b', eventType: 'c' })
    awaiter[Symbol.dispose]()
    await expect(one).rejects.toThrow('the wait for a b c 0 false was closed')
    await real.close()
  })

  it('names the field of a bound that is none', async () => {
    const wrong = polling.awaitTerminal('one', { timeoutMs: Number.NaN })
    await expect(wrong).rejects.toMatchObject({ code: 'invalid_input', data: { field: 'timeoutMs' } })
    const odd = polling.awaitEvent('', 'a', 0)
    await expect(odd).rejects.toMatchObject({ code: 'invalid_input' })
  })

  it('ends every wait when it is closed, and takes none after', async () => {
    const waiting = hubBacked.awaitTerminal('one', { timeoutMs: 300 })
    const rejected = silence(waiting)
    await settle()
    hubBacked[Symbol.dispose]()
    await expect(rejected).rejects.toMatchObject({ code: 'process.await_closed' })
    await expect(hubBacked.awaitTerminal('one')).rejects.toMatchObject({ code: 'process.await_closed' })
    expect([store.hub.trackedProcesses(), clock.pendingTimeouts]).toEqual([0, 0])
  })

  it('leaves heap, timers and listeners flat over 10,000 waits', async () => {
    store.writers = 'this_hub'
    const { signal } = new AbortController()
    for (let cycle = 0; cycle < 10_000; cycle += 1) {
      store.terminal = { state: 'running' }
      const waiting = hubBacked.awaitTerminal('one', { signal, timeoutMs: 60_000 })
      await Promise.resolve()
      store.complete(done)
      store.hub.notify('one')
      await waiting
    }
    expect([hubBacked.size, store.hub.trackedProcesses(), clock.pendingTimeouts]).toEqual([0, 0, 0])
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})
