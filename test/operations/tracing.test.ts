import { SpanStatusCode } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import type { Span, Tracer } from '../../src/work/job-span.js'
import { createRecordingLogger } from '../runtime/support/log.js'
import { openFixture, refusal } from '../operations/support/registry.js'
import { job, startWork } from './support/work.js'

async function traced(limits = {}) {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const fixture = await openFixture(limits, { tracer: provider.getTracer('stateward') })
  const spans = () => exporter.getFinishedSpans().map(({ name, attributes, status }) => ({ name, attributes, status }))
  return { ...fixture, spans }
}

describe('a span', () => {
  it('stands for each operation, from its start to its end', async () => {
    const { session, spans } = await traced()
    const { id, outcome, result } = await startWork(session)
    expect(spans()).toEqual([])
    result.resolve('done')
    await outcome
    expect(spans()).toEqual([
      {
        name: 'operation job',
        attributes: {
          'stateward.operation.id': id,
          'stateward.operation.kind': 'background_tool_op',
          'stateward.session.id': 'owner',
          'stateward.operation.outcome': 'completed',
        },
        status: { code: SpanStatusCode.UNSET },
      },
    ])
  })

  it('of a failure or termination is an error with its reason; of a cancellation it is not', async () => {
    const { session, operations, spans } = await traced()
    await session.run(job, () => Promise.reject(new Error('broken'))).outcome
    const cancelled = await startWork(session)
    await cancelled.cancel()
    await startWork(session)
    await operations.terminateOwner('leaving')
    expect(spans().map(({ attributes, status }) => [attributes['stateward.operation.outcome'], status])).toEqual([
      ['failed', { code: SpanStatusCode.ERROR, message: 'broken' }],
      ['cancelled', { code: SpanStatusCode.UNSET }],
      ['terminated', { code: SpanStatusCode.ERROR, message: 'leaving' }],
    ])
  })

  it('of an operation that was refused, or whose session went away, ends as an error too: none stays open', async () => {
    const { session, spans } = await traced({ maxConcurrent: 1 })
    const running = await startWork(session)
    await refusal(session.run(job, () => {}).outcome)
    session.dispose()
    await refusal(running.outcome)
    expect(spans().map(({ status }) => status.message)).toEqual([
      'max concurrent operations exceeded (limit: 1, active: 1)',
      'the session was closed before the operation ended',
    ])
  })
})

describe('a tracer that throws', () => {
  const broken = (): never => {
    throw new Error('the exporter is gone')
  }
  const span: Span = { setAttribute: () => span, setStatus: () => span, end: broken }
  const tracers: [string, Tracer][] = [
    ['when a span starts', { startSpan: broken }],
    ['when a span ends', { startSpan: () => span }],
  ]

  it.each(tracers)('harms no operation: %s', async (_, tracer) => {
    const logger = createRecordingLogger()
    const { session, operations, runtime } = await openFixture({}, { tracer, logger })
    expect(await session.run(job, () => 'done').outcome).toMatchObject({ type: 'completed' })
    const running = [await startWork(session), await startWork(session)]
    await operations.terminateOwner('leaving')
    const outcomes = await Promise.all(running.map(({ outcome }) => outcome))
    expect(outcomes.map(({ type }) => type)).toEqual(['terminated', 'terminated'])
    expect(logger.lines.map(({ message }) => message)).toEqual(['the tracer threw'])
    expect(runtime.health).toEqual({ status: 'open' })
  })
})
