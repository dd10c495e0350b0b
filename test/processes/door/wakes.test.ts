import { describe, expect, it } from 'vitest'
import * as v from 'valibot'
import { createDeferred } from '../../../src/base/promises.js'
import type { ContinuationInput } from '../../../src/index.js'
import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import { defineProcess, type WakeDelivery } from '../../../src/processes/public.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { openRuntime, recordingLogger, settle, until } from './support/runtime.js'

const rerunnable = { disposition: 'rerunnable' } as const
const wakeTarget = { sessionId: 's' }
const report = defineProcess(
  'report',
  { ...rerunnable, events: { draft: v.string(), note: v.string() }, wakes: ['draft'] },
  async (_: unknown, { emit }) => {
    await emit('note', 'begun')
    await emit('draft', 'a draft')
    return 'the report'
  },
)
const define = [report]

describe('wakes [P-204]', () => {
  it('come of the events that the definition names and of the end, in their order, once each when taken', async () => {
    const { processes } = await openRuntime({ processes: { define } })
    const woken: WakeDelivery[] = []
    processes.onWake('s', (delivery) => void woken.push(delivery))
    const handle = await processes.start(report, null, { wakeTarget })
    await until(() => woken.length === 2)
    await settle()
    expect(woken.map(({ processId, eventType, input }) => [processId, eventType, input])).toEqual([
      [handle.id, 'draft', 'a draft'],
      [handle.id, 'process.completed', { type: 'success', value: 'the report' }],
    ])
    expect(await processes.store.pendingWakes(10)).toEqual([])
  })

  it('are nobody’s business without a session', async () => {
    const { processes } = await openRuntime({ processes: { define } })
    await (await processes.start(report, null)).result()
    expect(await processes.store.pendingWakes(10)).toEqual([])
  })

  it('are kept for a session that is not there, over restarts, and delivered once it is', async () => {
    const store = createMemoryJournal()
    const first = await openRuntime({ store, processes: { define } })
    await (await first.processes.start(report, null, { id: 'p', wakeTarget })).result()
    await settle()
    expect(await first.processes.store.pendingWakes(10)).toHaveLength(2)
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, processes: { define } })
    await settle()
    const woken: string[] = []
    second.processes.onWake('s', ({ eventType }) => void woken.push(eventType))
    await until(() => woken.length === 2)
    expect(woken).toEqual(['draft', 'process.completed'])
  })

  it('that a handler breaks on are offered again, and hold up no other session', async () => {
    const clock = new SimulatedClock()
    const logger = recordingLogger()
    const { processes } = await openRuntime({ clock, logger, processes: { define } })
    let [tries, isBroken] = [0, true]
    const slow = createDeferred<void>()
    processes.onWake('slow', () => slow.promise)
    processes.onWake('broken', () => {
      tries += 1
      if (isBroken) throw new Error('not now')
    })
    await processes.start(report, null, { wakeTarget: { sessionId: 'slow' } })
    await processes.start(report, null, { wakeTarget: { sessionId: 'broken' } })
    await until(() => tries >= 2)
    expect(logger.lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        fields: expect.objectContaining({ sessionId: 'broken', cause: 'not now' }),
      }),
    )
    await settle()
    isBroken = false
    clock.advance(5000)
    await until(async () => (await processes.store.pendingWakes(10)).length === 2)
    // Only those of the slow one are left.
    expect((await processes.store.pendingWakes(10)).map(({ delivery }) => delivery.targetSessionId)).toEqual([
      'slow',
      'slow',
    ])
    slow.resolve()
    await until(async () => (await processes.store.pendingWakes(10)).length === 0)
  })

  it('are more than a line takes: the rest follows', async () => {
    const { processes } = await openRuntime({ processes: { define, concurrency: 500 } })
    await Promise.all(Array.from({ length: 150 }, () => processes.start(report, null, { wakeTarget })))
    await until(async () => (await processes.store.pendingWakes(1000)).length === 300)
    let woken = 0
    processes.onWake('s', () => void (woken += 1))
    await until(async () => (await processes.store.pendingWakes(1)).length === 0)
    expect(woken).toBe(300)
  })

  it('come to nobody any more once the handler is taken back', async () => {
    const { processes } = await openRuntime({ processes: { define } })
    let woken = 0
    processes.onWake('s', () => void (woken += 1))[Symbol.dispose]()
    await (await processes.start(report, null, { wakeTarget })).result()
    await settle()
    expect([woken, (await processes.store.pendingWakes(10)).length]).toEqual([0, 2])
    expect(() => processes.onWake('', () => {})).toThrow(expect.objectContaining({ code: 'invalid_input' }))
    expect(() => processes.onWake('s', 5 as never)).toThrow(expect.objectContaining({ code: 'invalid_input' }))
  })
})

describe('a session of the runtime [P-205]', () => {
  it('is woken by default: what the process said ends there as an operation, which wakes it when it is idle', async () => {
    const runtime = await openRuntime({ processes: { define } })
    const session = runtime.session('s')
    const injected: ContinuationInput[] = []
    session.wakeWhenIdle({
      isQuiescent: () => true,
      inject: (input) => {
        injected.push(input)
        return true
      },
    })
    const handle = await runtime.processes.start(report, null, { id: 'p', wakeTarget })
    await handle.result()
    await until(() => injected.at(-1)?.throughSeq === 2)
    const { entries } = session.feed.since(0)
    expect(entries.map(({ outcome }) => outcome)).toMatchObject([
      { type: 'completed', result: { content: '{"processId":"p","eventType":"draft","input":"a draft"}' } },
      { type: 'completed', result: { content: expect.stringContaining('"the report"') } },
    ])
    expect(await runtime.processes.store.pendingWakes(10)).toEqual([])
  })

  it('learns of a wake that is delivered again once', async () => {
    const runtime = await openRuntime({ processes: { define } })
    const session = runtime.session('s')
    await (await runtime.processes.start(report, null, { id: 'p', wakeTarget })).result()
    await until(async () => (await runtime.processes.store.pendingWakes(10)).length === 0)
    expect(session.feed.watermark()).toBe(2)
  })

  it('keeps its wakes while it does not exist', async () => {
    const runtime = await openRuntime({ processes: { define } })
    await (await runtime.processes.start(report, null, { wakeTarget })).result()
    await settle()
    expect(await runtime.processes.store.pendingWakes(10)).toHaveLength(2)
    const session = runtime.session('s')
    await (await runtime.processes.start(report, null, { wakeTarget })).result()
    await until(() => session.feed.watermark() === 4)
  })

  it('takes its handles and wakes with it when it is deleted', async () => {
    const runtime = await openRuntime({ processes: { define } })
    await (await runtime.processes.start(report, null, { id: 'p', wakeTarget })).result()
    await runtime.processes.store.grantHandle(wakeTarget, 'p', {})
    await runtime.deleteSession('s')
    expect(await runtime.processes.store.pendingWakes(10)).toEqual([])
    expect(await runtime.processes.store.hasHandleGrant(wakeTarget, 'p')).toBe(false)
    // A name that no process can refer to.
    await runtime.deleteSession('größe')
  })
})
