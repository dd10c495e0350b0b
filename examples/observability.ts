/** A task seen through spans, metrics and log lines: the example of docs/observability.md. */
// #region shown
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { createRuntime, type Logger } from 'stateward'

// A service has this anyway: in production `@opentelemetry/sdk-node` sets it up, with exporters of your choice.
const spans = new InMemorySpanExporter()
const measurements = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
const reader = new PeriodicExportingMetricReader({ exporter: measurements })
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }))
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))

// pino works as it is; this logger prints every level.
const write = (level: string) => (fields: object, message: string) => console.log(level, message, Object.keys(fields))
const logger: Logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }

const tracer = trace.getTracer('my-service')
const runtime = await createRuntime({ tracer, meter: metrics.getMeter('my-service'), logger })

runtime.tasks.handle('report', ({ input }) =>
  // The span of the attempt is active here, so that spans of client libraries become its children.
  tracer.startActiveSpan('ask a model', (span) => {
    span.end()
    return `about ${String(input)}`
  }),
)
await tracer.startActiveSpan('POST /reports', async (request) => {
  const { id } = await runtime.tasks.submit('report', 'cranes')
  request.end()
  await runtime.tasks.outcome(id)
})

await reader.forceFlush()
await runtime.close()
for (const { name, parentSpanContext, links } of spans.getFinishedSpans()) {
  console.log('span', name, parentSpanContext === undefined ? 'root' : 'child', links.length)
}
for (const { scopeMetrics } of measurements.getMetrics()) {
  for (const { descriptor } of scopeMetrics.flatMap((scope) => scope.metrics)) console.log('metric', descriptor.name)
}
await reader.shutdown()
// #endregion
