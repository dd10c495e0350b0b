import { messageOf } from './base/errors.js'
import type { Logger } from './base/logger.js'
import { portSchema } from './base/options.js'
import type { OperationOutcome, OperationSpec } from '../machines/operation-vocabulary.js'

/** What stateward uses of a tracer; the one of `@opentelemetry/api` fits. */
export interface Tracer {
  startSpan(name: string, options: { readonly attributes: Readonly<Record<string, string>> }): Span
}

/** What stateward uses of a span. */
export interface Span {
  setAttribute(key: string, value: string): unknown
  setStatus(status: { readonly code: number; readonly message: string }): unknown
  end(): void
}

/** Accepts a {@link Tracer}. */
export const tracerSchema = portSchema<Tracer>(['startSpan'])

/** `SpanStatusCode.ERROR` of the OpenTelemetry API, spelled out so that the API is not needed. */
const errorStatus = 2

/** The span of one operation. Tracing is worth no operation: what the tracer throws is logged. */
export class OperationSpan {
  readonly #logger: Logger
  #span: Span | undefined

  constructor(tracer: Tracer, spec: OperationSpec, logger: Logger) {
    this.#logger = logger
    this.#guard(() => {
      this.#span = tracer.startSpan(`operation ${spec.displayName}`, {
        attributes: {
          'stateward.operation.id': spec.id,
          'stateward.operation.kind': spec.kind,
          'stateward.session.id': spec.ownerSessionId,
        },
      })
    })
  }

  /** Ends with the outcome; a failure or termination is an error. */
  end(outcome: OperationOutcome): void {
    this.#guard(() => {
      this.#span?.setAttribute('stateward.operation.outcome', outcome.type)
      if (outcome.type === 'failed') this.#span?.setStatus({ code: errorStatus, message: outcome.error })
      if (outcome.type === 'terminated') this.#span?.setStatus({ code: errorStatus, message: outcome.reason })
      this.#span?.end()
    })
  }

  /** Ends without an outcome, because the operation was refused or its session closed first. */
  abandon(reason: string): void {
    this.#guard(() => {
      this.#span?.setStatus({ code: errorStatus, message: reason })
      this.#span?.end()
    })
  }

  #guard(step: () => void): void {
    try {
      step()
    } catch (cause) {
      this.#logger.warn({ cause: messageOf(cause) }, 'the tracer threw')
    }
  }
}
