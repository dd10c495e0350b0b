import { messageOf } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { createObserverGuard, type ObserverGuard } from '../base/observers.js'
import { JobSpan, spanKinds, type Tracer } from '../work/job-span.js'
import type { ProcessRecord } from './record.js'
import type { RunResult } from './run-result.js'
import type { ProcessId } from './scalars.js'

/** The trace context that a process keeps from the span in which it was started. */
export interface TraceOfStart {
  readonly traceparent?: string
}

/** The process being started. */
export interface TracedStart {
  readonly kind: string
  readonly processId: ProcessId
}

/**
 * The spans of processes. A start is a `PRODUCER` span below the active span. Each run is a `CONSUMER` span in its own
 * trace, possibly days later on another host, with a link to the start.
 */
export class ProcessSpans {
  readonly #tracer: Tracer
  readonly #guard: ObserverGuard

  constructor(tracer: Tracer, logger: Logger) {
    this.#tracer = tracer
    this.#guard = createObserverGuard(logger, 'the tracer threw')
  }

  /** Starts a process in a span that ends when the start is durable or refused. */
  async start<Result>(
    { kind, processId }: TracedStart,
    start: (trace: TraceOfStart) => Promise<Result>,
  ): Promise<Result> {
    const span = new JobSpan(
      this.#tracer,
      {
        name: `start ${kind}`,
        kind: spanKinds.producer,
        attributes: { 'stateward.process.id': processId, 'stateward.process.kind': kind },
        outcomeAttribute: 'stateward.process.start.outcome',
      },
      this.#guard,
    )
    const { traceparent } = span
    try {
      const result = await start(traceparent === undefined ? {} : { traceparent })
      span.end('accepted')
      return result
    } catch (refusal) {
      span.end('refused', { message: messageOf(refusal), type: 'refused' })
      throw refusal
    }
  }

  /** Starts the span of a run. */
  run({ id, identity, firstStarted, traceparent }: ProcessRecord): JobSpan {
    const attributes = {
      'stateward.process.id': id,
      'stateward.process.kind': identity.kind,
      'stateward.process.attempt': firstStarted?.attempt ?? 1,
    }
    return new JobSpan(
      this.#tracer,
      {
        name: `run ${identity.kind}`,
        kind: spanKinds.consumer,
        root: true,
        attributes,
        outcomeAttribute: 'stateward.process.run.outcome',
        linkTo: traceparent,
      },
      this.#guard,
    )
  }
}

/** Starts a process, in a span if there is a tracer. */
export function startWithin<Result>(
  spans: ProcessSpans | undefined,
  started: TracedStart,
  start: (trace: TraceOfStart) => Promise<Result>,
): Promise<Result> {
  return spans === undefined ? start({}) : spans.start(started, start)
}

/** Ends the span of a run. Being told to stop or to end is not an error. */
export function endRunSpan(span: JobSpan | undefined, { outcome, error }: RunResult): void {
  span?.end(outcome, error)
}
