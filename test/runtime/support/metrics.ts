import { type DataPoint, type Histogram, MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'

class ManualReader extends MetricReader {
  protected override onForceFlush(): Promise<void> {
    return Promise.resolve()
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve()
  }
}

/** One measurement: its attributes, and the number, or how many there were and their sum. */
export interface Point {
  readonly attributes: object
  readonly value: number | { readonly count: number; readonly sum: number | undefined }
}

/** A meter of the OpenTelemetry SDK, and what it has collected when asked. */
export function createCollectingMeter() {
  const reader = new ManualReader()
  const meter = new MeterProvider({ readers: [reader] }).getMeter('stateward')
  const collect = async (): Promise<ReadonlyMap<string, readonly Point[]>> => {
    const { resourceMetrics } = await reader.collect()
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics)
    return new Map(
      metrics.map(({ descriptor, dataPoints }) => [
        descriptor.name,
        (dataPoints as readonly DataPoint<number | Histogram>[]).map(pointOf),
      ]),
    )
  }
  return { meter, collect }
}

function pointOf({ attributes, value }: DataPoint<number | Histogram>): Point {
  return typeof value === 'number'
    ? { attributes, value }
    : { attributes, value: { count: value.count, sum: value.sum } }
}
