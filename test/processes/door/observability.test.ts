import { context } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as v from 'valibot'
import { createMemoryJournal } from '../../../src/journal/memory-journal.js'
import { defineProcess, noProjector } from '../../../src/processes/public.js'
import { SimulatedClock } from '../../../src/testing/simulated-clock.js'
import { createCollectingMeter } from '../../runtime/support/metrics.js'
import { openRuntime, recordingLogger, until } from './support/runtime.js'

const rerunnable = { disposition: 'rerunnable' } as const

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
})
afterAll(() => context.disable())

function createTracer() {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const find = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name)
  return { tracer: provider.getTracer('stateward'), find }
}

describe('spans of processes [P-276]', () => {
  it('stand for start and run, linked over a restart, and are active in the run and what it calls', async () => {
    const store = createMemoryJournal()
    const { tracer, find } = createTracer()
    const child = defineProcess('child', rerunnable, () => 'done')
    const parent = defineProcess(
      'parent',
      { ...rerunnable, signals: { go: v.unknown() } },
      async (_: unknown, { waitFor, call }) => {
        await waitFor('go')
        tracer.startActiveSpan('inside', (span) => span.end())
        return call(child, null)
      },
    )
    const first = await openRuntime({ store, tracer, processes: { define: [parent, child] } })
    await tracer.startActiveSpan('POST /parents', async (request) => {
      const handle = await first.processes.start(parent, null, { id: 'p' })
      await first.processes.start(parent, null, { id: 'p' })
      await until(async () => (await handle.status()).wait !== undefined)
      request.end()
    })
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, tracer, processes: { define: [parent, child] } })
    await second.processes.get(parent, 'p').signal('go', 1)
    expect(await second.processes.get(parent, 'p').result()).toBe('done')

    const [request] = find('POST /parents')
    const starts = find('start parent')
    expect(starts.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([
      request?.spanContext().spanId,
      request?.spanContext().spanId,
    ])
    const runs = find('run parent')
    const stood = runs.map(({ parentSpanContext, links }) => [
      parentSpanContext,
      links.map(({ context: at }) => at.spanId),
    ])
    expect(stood).toEqual([
      [undefined, [starts[0]?.spanContext().spanId]],
      [undefined, [starts[0]?.spanContext().spanId]],
    ])
    expect(runs.map(({ attributes }) => attributes)).toEqual([
      {
        'stateward.process.id': 'p',
        'stateward.process.kind': 'parent',
        'stateward.process.attempt': 1,
        'stateward.process.run.outcome': 'stopped',
      },
      {
        'stateward.process.id': 'p',
        'stateward.process.kind': 'parent',
        'stateward.process.attempt': 2,
        'stateward.process.run.outcome': 'completed',
      },
    ])
    const within = runs[1]?.spanContext().spanId
    expect(find('inside').map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([within])
    expect(find('start child').map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([within])
  })

  it('are errors for what failed and what was refused, and link to the traceparent that a caller names', async () => {
    const { tracer, find } = createTracer()
    const broken = defineProcess('broken', { ...rerunnable, input: v.number() }, () => {
      throw Object.assign(new RangeError('too far'), { code: 'far' })
    })
    const { processes } = await openRuntime({ tracer, processes: { define: [broken] } })
    await expect(processes.start(broken, 'one' as never)).rejects.toMatchObject({ code: 'invalid_input' })
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
    await (await processes.start(broken, 1, { traceparent })).outcome()
    await until(() => find('run broken').length > 0)
    const [run] = find('run broken')
    expect(run?.status).toEqual({ code: 2, message: 'too far' })
    expect(run?.attributes).toMatchObject({ 'stateward.process.run.outcome': 'failed', 'error.type': 'far' })
    expect(run?.links.map(({ context: at }) => [at.traceId, at.spanId])).toEqual([['a'.repeat(32), 'b'.repeat(16)]])
    const outcomes = find('start broken').map(({ attributes }) => attributes['stateward.process.start.outcome'])
    expect(outcomes).toEqual(['refused', 'accepted'])
  })

  it('harm nobody when the tracer breaks', async () => {
    const tracer = {
      startSpan: () => {
        throw new Error('broken tracer')
      },
    }
    const flow = defineProcess('flow', rerunnable, () => 1)
    const { processes } = await openRuntime({ tracer, logger: recordingLogger(), processes: { define: [flow] } })
    expect(await (await processes.start(flow, null)).result()).toBe(1)
  })
})

describe('metrics of processes [P-277]', () => {
  it('say how many begin and end, why, how long they wait and how long they run', async () => {
    const { meter, collect } = createCollectingMeter()
    const clock = new SimulatedClock()
    const runtime = await openRuntime({ meter, clock })
    const { processes } = runtime
    const flow = defineProcess('flow', { ...rerunnable, concurrency: 1 }, (input: unknown) => {
      clock.advance(500)
      if (input === 'break') throw new RangeError('no')
      return input
    })
    // Nobody runs it yet.
    const handles = [await processes.start(flow, 'go', { id: 'a' }), await processes.start(flow, 'break', { id: 'b' })]
    await handles[0]?.cancel('not wanted')
    clock.advance(2000)
    processes.define(flow)
    for (const handle of handles) await handle.outcome()
    const outside = await processes.store.registerProcess({
      id: 'c',
      input: { type: 'external', metadata: null },
      disposition: 'externally_owned',
      eventTypes: [{ name: 'gone', payloadSchema: {}, semantics: { terminal: { state: 'completed' } } }],
      provenance: { originator: { type: 'host' } },
    })
    await processes.store.appendEvent(outside.id, { eventType: 'gone', payload: 1, replay: { key: 'k' } })
    await processes.store.appendEvent(outside.id, { eventType: 'gone', payload: 1, replay: { key: 'k' } })
    await until(async () => (await collect()).get('stateward.process.run.duration')?.length === 2)
    const metrics = await collect()
    const kind = { 'stateward.process.kind': 'flow' }
    expect(metrics.get('stateward.process.started')).toEqual([{ attributes: kind, value: 2 }])
    expect(metrics.get('stateward.process.wait.duration')).toEqual([{ attributes: kind, value: { count: 2, sum: 4 } }])
    expect(metrics.get('stateward.process.run.duration')).toEqual([
      { attributes: { ...kind, 'stateward.process.run.outcome': 'cancelled' }, value: { count: 1, sum: 0 } },
      {
        attributes: { ...kind, 'stateward.process.run.outcome': 'failed', 'error.type': 'RangeError' },
        value: { count: 1, sum: 0.5 },
      },
    ])
    expect(metrics.get('stateward.process.ended')).toEqual([
      { attributes: { ...kind, 'stateward.process.status': 'cancelled' }, value: 1 },
      {
        attributes: {
          ...kind,
          'stateward.process.status': 'failed',
          'stateward.process.reason': 'execution',
          'error.type': 'RangeError',
        },
        value: 1,
      },
      { attributes: { 'stateward.process.kind': 'external', 'stateward.process.status': 'completed' }, value: 1 },
    ])
    expect((await processes.store.pruneTerminal(Infinity, { watermark: noProjector })).prunedProcesses).toBe(3)
  })

  it('count a process that was started as often as it may be', async () => {
    const { meter, collect } = createCollectingMeter()
    const flow = defineProcess(
      'flow',
      { ...rerunnable, maxAttempts: 1, signals: { go: v.unknown() } },
      (_: unknown, run) => run.waitFor('go'),
    )
    const store = createMemoryJournal()
    const first = await openRuntime({ store, processes: { define: [flow] } })
    const { id } = await first.processes.start(flow, null)
    await until(async () => (await first.processes.get(flow, id).status()).wait !== undefined)
    await first.close({ policy: 'terminate' })
    const second = await openRuntime({ store, meter, processes: { define: [flow] } })
    await second.processes.get(flow, id).signal('go', 1)
    await second.processes.get(flow, id).outcome()
    await until(async () => (await collect()).has('stateward.process.ended'))
    expect((await collect()).get('stateward.process.ended')).toEqual([
      {
        attributes: {
          'stateward.process.kind': 'flow',
          'stateward.process.status': 'abandoned',
          'stateward.process.reason': 'engine_gave_up',
        },
        value: 1,
      },
    ])
  })
})
