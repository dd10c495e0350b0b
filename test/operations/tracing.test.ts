import { SpanStatusCode } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import type { Span, Tracer } from '../../src/work/job-span.js'
import { createRecordingLogger } from '../runtime/support/log.js'
import type { RuntimeOptions } from '../../src/runtime-options.js'
import { suspend } from '../../src/tasks/index.js'
import { openFixture, refusal } from '../operations/support/registry.js'
import { job, startWork } from './support/work.js'

async function traced(limits = {}, more: Pick<RuntimeOptions, 'tasks'> = {}) {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const fixture = await openFixture(limits, { tracer: provider.getTracer('stateward'), ...more })
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

describe('a span of an attempt', () => {
  it('names task, run and attempt; a failure is an error, a suspension and a success are none', async () => {
    const { runtime, spans } = await traced({}, { tasks: { backoff: { type: 'fixed', delayMs: 0 } } })
    const attempts: unknown[] = []
    runtime.tasks.handle('work', ({ runId, attemptId, attemptNumber, resumeFrom }) => {
      attempts.push({ 'stateward.run.id': runId, 'stateward.attempt.id': attemptId })
      if (attemptNumber === 1) throw new Error('broken')
      if (resumeFrom === undefined) return suspend('half')
      return 'done'
    })
    const id = await runtime.tasks.submit({ kind: 'work', constraints: { maxAttempts: 2 } })
    await expect.poll(() => runtime.tasks.projection.runsOf(id)[0]?.state).toBe('suspended')
    await runtime.tasks.resume(runtime.tasks.projection.runsOf(id)[0]?.id as never)
    await runtime.tasks.outcome(id)
    expect(spans()).toEqual(
      [
        ['failure', { code: SpanStatusCode.ERROR, message: 'broken' }],
        ['suspended', { code: SpanStatusCode.UNSET }],
        ['success', { code: SpanStatusCode.UNSET }],
      ].map(([outcome, status], index) => ({
        name: 'attempt work',
        attributes: {
          'stateward.task.id': id,
          'stateward.task.kind': 'work',
          ...(attempts[index] as object),
          'stateward.attempt.outcome': outcome,
        },
        status,
      })),
    )
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

  it.each(tracers)('harms no attempt: %s', async (_, tracer) => {
    const logger = createRecordingLogger()
    const { runtime } = await openFixture({}, { tracer, logger })
    runtime.tasks.handle('work', () => {})
    const task = await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    expect([task.status, logger.lines.map(({ message }) => message)]).toEqual(['completed', ['the tracer threw']])
  })
})
