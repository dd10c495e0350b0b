import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import * as v from 'valibot'
import { readDirectory } from '../../../src/directory-state.js'
import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import { defineProcess, type ProcessEvent, type ProcessStore } from '../../../src/processes/public.js'
import { openProcessStore } from '../../../src/processes/index.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { openRuntime, recordingLogger, settle, until } from './support/runtime.js'

const rerunnable = { disposition: 'rerunnable' } as const
const waiting = defineProcess('waiting', { ...rerunnable, signals: { go: v.string() } }, (_: unknown, { waitFor }) =>
  waitFor('go'),
)
const define = [waiting]

describe('processes of a runtime [P-206]', () => {
  it('live in its directory, and are listed among its jobs', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'stateward-processes-'))
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const first = await openRuntime({ dataDir, processes: { define } })
    const originator = { type: 'session', scope: { sessionId: 's' } } as const
    await first.processes.start(waiting, null, { id: 'p', originator })
    await until(() => first.jobs.list().some(({ state }) => state === 'waiting'))
    expect(first.jobs.list()).toMatchObject([{ id: 'p', room: 'processes', kind: 'waiting', owner: 's' }])
    await until(async () => (await first.processes.get(waiting, 'p').status()).wait !== undefined)
    const { processes } = await readDirectory({ directory: dataDir })
    expect(await processes.getProcess('p')).toMatchObject({ status: 'running', wait: { kind: { name: 'go' } } })
    await first.close()
    const second = await openRuntime({ dataDir, processes: { define } })
    await second.processes.get(waiting, 'p').signal('go', 'yes')
    expect(await second.processes.get(waiting, 'p').result()).toBe('yes')
  })

  it('take nothing more once it is closed, and end every wait', async () => {
    const runtime = await openRuntime({ processes: { define } })
    const { processes } = runtime
    const handle = await processes.start(waiting, null)
    const closed = handle.result().catch((error: unknown) => error)
    await runtime.close({ policy: 'terminate' })
    expect(await closed).toMatchObject({ code: 'process.await_closed' })
    await expect(processes.start(waiting, null)).rejects.toMatchObject({ code: 'runtime_closed' })
    expect(() => processes.define('more', rerunnable, () => {})).toThrow(
      expect.objectContaining({ code: 'runtime_closed' }),
    )
    expect(() => processes.onWake('s', () => {})).toThrow(expect.objectContaining({ code: 'runtime_closed' }))
    await expect(processes.drive()).rejects.toMatchObject({ code: 'runtime_closed' })
    expect(runtime.jobs.list()).toEqual([])
  })

  it('have the grace of the closing to answer, and are free for the next host at once', async () => {
    const store = createMemoryJournal()
    const clock = new SimulatedClock()
    const seen: string[] = []
    const slow = defineProcess('slow', rerunnable, async (_: unknown, { signal, retiring, attempt }) => {
      if (attempt === 2) return 'second'
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      seen.push(`retiring ${retiring.aborted}`)
      return new Promise(() => {})
    })
    const first = await openRuntime({ store, clock, logger: recordingLogger(), processes: { define: [slow] } })
    const { id } = await first.processes.start(slow, null)
    await until(() => first.jobs.list().length === 1)
    const closing = first.close({ graceMs: 700 })
    await settle()
    clock.advance(699)
    await settle()
    expect([seen, first.jobs.list()[0]?.state]).toEqual([['retiring true'], 'stopping'])
    clock.advance(1)
    await closing
    const second = await openRuntime({ store, clock, processes: { define: [slow] } })
    expect(await second.processes.get(slow, id).result()).toBe('second')
  })

  it('tell a sink of their events, and of their ends if that is wanted', async () => {
    const seen: ProcessEvent[] = []
    const sink = { emit: (event: ProcessEvent) => void seen.push(event) }
    const { processes } = await openRuntime({ processes: { define, sink, emitLifecycle: true } })
    const handle = await processes.start(waiting, null)
    await handle.signal('go', 'yes')
    await handle.result()
    const types = seen.map(({ eventType }) => eventType)
    expect(types).toContain('signal.go')
    expect(types.at(-1)).toBe('process.completed')
  })

  it.each([
    ['processes.define.0', { define: [{}] }],
    ['processes.store', { store: {} }],
    ['processes.concurrency', { concurrency: 0 }],
    ['processes.owner', { owner: 'x'.repeat(129) }],
    ['processes.sink', { sink: {} }],
    ['processes.timings.ttlMs', { timings: { ttlMs: 0, renewIntervalMs: 1 } }],
    ['processes.sweepIntervalMs', { sweepIntervalMs: 0 }],
    ['processes.more', { more: 1 }],
  ])('are refused for a wrong %s', async (field, processes) => {
    await expect(openRuntime({ processes: processes as never })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field },
    })
  })

  it('are given up at closing where that is asked for, if they are bound to this host', async () => {
    const store = await openProcessStore()
    const bound = defineProcess(
      'bound',
      { disposition: 'owner_bound' },
      (_: unknown, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    )
    const first = await openRuntime({ processes: { define: [bound], store, owner: 'here' } })
    await first.processes.start(bound, null, { id: 'p' })
    await until(async () => (await store.getProcess('p'))?.firstStarted !== undefined)
    await first.close({ drain: true })
    expect(await store.getProcess('p')).toMatchObject({
      status: 'abandoned',
      outcome: { evidence: { writer: 'owner_drain', owner: { ownerId: 'here' } } },
    })
  })
})

describe('several hosts on one store [P-207]', () => {
  /** The same store for somebody who must take it that others write, too. */
  function shared(store: ProcessStore): ProcessStore {
    const values: Partial<Record<PropertyKey, unknown>> = { writers: 'many', hub: undefined }
    return new Proxy(store, {
      get(target, key) {
        if (key in values) return values[key]
        const value: unknown = Reflect.get(target, key, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  it('take over what one that is gone has left, and its wakes, after a sweep', async () => {
    const clock = new SimulatedClock()
    const store = await openProcessStore({ clock })
    const { id } = await (async () => {
      const gone = await openRuntime({ clock, processes: { store: shared(store) } })
      const handle = await gone.processes.start(waiting, null, { wakeTarget: { sessionId: 's' } })
      await handle.signal('go', 'yes')
      return handle
    })()
    const claimed = await store.claimLease(id, { ownerId: 'gone', incarnationId: 'gone' }, 12_000)
    expect(claimed.outcome).toBe('acquired')
    const here = await openRuntime({ clock, processes: { store: shared(store), define } })
    const woken: string[] = []
    here.processes.onWake('s', ({ eventType }) => void woken.push(eventType))
    await settle()
    clock.advance(5000)
    await settle()
    clock.advance(5000)
    await settle()
    expect((await here.processes.get(waiting, id).status()).status).toBe('running')
    clock.advance(5000)
    await until(() => woken.length === 1)
    expect(woken).toEqual(['process.completed'])
  })
})
