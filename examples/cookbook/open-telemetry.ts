/** Spans of operations and attempts: docs/cookbook.md. */
// #region shown
import { BasicTracerProvider, ConsoleSpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { createRuntime } from 'stateward'

// In a service: `trace.getTracer('my-service')` from @opentelemetry/api, with your own SDK and exporter.
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new ConsoleSpanExporter())] })

await using runtime = await createRuntime({ tracer: provider.getTracer('my-service') })
runtime.tasks.handle('greet', ({ text }) => `hello ${text()}`)
const task = await runtime.tasks.submit({ kind: 'greet', payload: 'Ada' })
await runtime.tasks.outcome(task)
// #endregion
