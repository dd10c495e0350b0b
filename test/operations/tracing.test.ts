import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMemoryJournal } from '../../src/journal/memory-journal.js'
import type { Span, Tracer } from '../../src/work/job-span.js'
import { createRecordingLogger } from '../runtime/support/log.js'
import type { RuntimeOptions } from '../../src/runtime-options.js'
import { suspend, TerminalFailure } from '../../src/tasks/index.js'
import { openFixture, refusal } from '../operations/support/registry.js'
import { job, startWork } from './support/work.js'

async function traced(limits = {}, more: Pick<RuntimeOptions, 'tasks' | 'store'> = {}) {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const tracer = provider.getTracer('stateward')
  const fixture = await openFixture(limits, { tracer, ...more })
  const spans = () => exporter.getFinishedSpans().map(({ name, attributes, status }) => ({ name, attributes, status }))
  return { ...fixture, spans, tracer, finished: () => exporter.getFinishedSpans() }
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
        name: 'operation background_tool_op',
        attributes: {
          'stateward.operation.id': id,
          'stateward.operation.kind': 'background_tool_op',
          'stateward.operation.name': 'job',
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
    expect(spans().filter(({ name }) => name !== 'submit work')).toMatchObject(
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

describe('a span, inside the work that it stands for,', () => {
  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  })
  afterAll(() => context.disable())

  it('is the active one, also after a wait, and stands below the one that was active when the work was asked for (O-193)', async () => {
    const { session, tracer, finished } = await traced()
    await tracer.startActiveSpan('request', async (request) => {
      const work = async (): Promise<void> => {
        tracer.startSpan('first').end()
        await new Promise((resolve) => setImmediate(resolve))
        tracer.startSpan('second').end()
      }
      await Promise.all([session.run(job, work).outcome, session.run(job, work).outcome])
      request.end()
    })
    const nameOf = new Map(finished().map((span) => [span.spanContext().spanId, span.name]))
    const parents = finished().map(
      ({ name, parentSpanContext }) => `${name} < ${nameOf.get(parentSpanContext?.spanId ?? '')}`,
    )
    expect(parents.toSorted()).toEqual([
      'first < operation background_tool_op',
      'first < operation background_tool_op',
      'operation background_tool_op < request',
      'operation background_tool_op < request',
      'request < undefined',
      'second < operation background_tool_op',
      'second < operation background_tool_op',
    ])
    const inner = finished().filter(({ name }) => name === 'first')
    expect(new Set(inner.map(({ parentSpanContext }) => parentSpanContext?.spanId)).size).toBe(2)
  })

  it('of an attempt has a trace of its own, links to the submission, and is above what the handler submits (T-350, T-351)', async () => {
    const { runtime, tracer, finished } = await traced()
    runtime.tasks.handle('child', () => {})
    runtime.tasks.handle('parent', async ({ submit, call }) => {
      await submit({ kind: 'child' })
      await call('child', 1)
    })
    const taskId = await tracer.startActiveSpan('request', async (request) => {
      const id = await runtime.tasks.submit({ kind: 'parent' })
      request.end()
      return id
    })
    await runtime.tasks.outcome(taskId)
    await expect.poll(() => finished().filter(({ name }) => name === 'attempt child').length).toBe(2)
    const named = (name: string) => finished().find((span) => span.name === name)
    const [request, submission, attempt] = [named('request'), named('submit parent'), named('attempt parent')]
    expect(submission).toMatchObject({ kind: SpanKind.PRODUCER, parentSpanContext: request?.spanContext() })
    expect(submission?.attributes).toMatchObject({ 'messaging.message.id': taskId, 'messaging.operation.type': 'send' })
    expect(attempt).toMatchObject({ kind: SpanKind.CONSUMER, parentSpanContext: undefined })
    expect(attempt?.spanContext().traceId).not.toBe(request?.spanContext().traceId)
    expect(attempt?.links.map((link) => link.context.spanId)).toEqual([submission?.spanContext().spanId])
    const below = finished().filter(({ name }) => name === 'submit child')
    expect(below.map(({ parentSpanContext }) => parentSpanContext?.spanId)).toEqual([
      attempt?.spanContext().spanId,
      attempt?.spanContext().spanId,
    ])
  })

  it('is none of somebody else: what was active when an attempt began to run is not above it', async () => {
    const { runtime, tracer, finished } = await traced()
    runtime.tasks.handle('work', () => trace.getActiveSpan()?.spanContext().spanId)
    await runtime.tasks.start()
    const { output } = await tracer.startActiveSpan('request', async () =>
      runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' })),
    )
    const attempt = finished().find(({ name }) => name === 'attempt work')
    expect(attempt?.parentSpanContext).toBeUndefined()
    expect(Buffer.from(output ?? []).toString()).toBe(attempt?.spanContext().spanId)
  })
})

describe('the trace of a submission', () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

  it('is kept with the task over a restart, and is the own one where one is named (T-350)', async () => {
    const store = createMemoryJournal()
    const { runtime } = await traced({}, { store })
    const submitted = await runtime.tasks.submit({ kind: 'work' })
    expect(runtime.tasks.projection.task(submitted)?.spec.traceparent).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-01$/)
    const named = await runtime.tasks.submit({ kind: 'work', traceparent })
    expect(runtime.tasks.projection.task(named)?.spec.traceparent).toBe(traceparent)
    await expect(runtime.tasks.submit({ kind: 'work', traceparent: 'abc' })).rejects.toMatchObject({
      code: 'invalid_input',
      data: { field: 'traceparent' },
    })
    const kept = runtime.tasks.projection.task(submitted)?.spec.traceparent
    await runtime.close()
    const next = await traced({}, { store })
    next.runtime.tasks.handle('work', () => {})
    await next.runtime.tasks.outcome(submitted)
    const attempt = next.finished().find(({ attributes }) => attributes['stateward.task.id'] === submitted)
    expect(attempt?.links.map(({ context: { traceId, spanId } }) => `00-${traceId}-${spanId}-01`)).toEqual([kept])
  })

  it('belongs to each submission of a graph, and anew to a retry (T-350)', async () => {
    const { runtime, finished } = await traced()
    runtime.tasks.handle('work', () => {
      throw new TerminalFailure('no')
    })
    const { one, other } = await runtime.tasks.submitGraph({
      one: { kind: 'work' },
      other: { kind: 'work', traceparent },
    })
    await runtime.tasks.outcome(one)
    await runtime.tasks.outcome(other)
    const { id: retried } = await runtime.tasks.retry(other)
    const spanIdOf = (taskId: typeof one) => runtime.tasks.projection.task(taskId)?.spec.traceparent?.split('-')[2]
    const idOf = (name: string) =>
      finished()
        .find((span) => span.name === name)
        ?.spanContext().spanId
    expect([spanIdOf(one), spanIdOf(other), spanIdOf(retried)]).toEqual([
      idOf('submit graph'),
      '00f067aa0ba902b7',
      idOf('submit work'),
    ])
  })

  it('that was refused is an error', async () => {
    const { runtime, spans } = await traced()
    await expect(
      runtime.tasks.submit({ kind: 'work', parentTaskId: '00000000-0000-4000-8000-000000000009' as never }),
    ).rejects.toThrow()
    expect(spans()).toMatchObject([{ name: 'submit work', status: { code: SpanStatusCode.ERROR } }])
  })
})

describe('a span of a failure', () => {
  it('has what was thrown, by code and with its stack', async () => {
    const { session, runtime, finished } = await traced()
    const fault = Object.assign(new Error('too many'), { code: 'rate_limited' })
    await session.run(job, () => Promise.reject(fault)).outcome
    runtime.tasks.handle('work', () => {
      throw new TerminalFailure('no')
    })
    await runtime.tasks.outcome(await runtime.tasks.submit({ kind: 'work' }))
    const failures = finished().filter(({ status }) => status.code === SpanStatusCode.ERROR)
    expect(failures.map(({ attributes }) => attributes['error.type'])).toEqual(['rate_limited', 'terminal_failure'])
    expect(failures[0]?.events).toMatchObject([
      { name: 'exception', attributes: { 'exception.stacktrace': expect.stringContaining('tracing.test') } },
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
    ['when an active span starts', { startSpan: () => span, startActiveSpan: broken }],
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
