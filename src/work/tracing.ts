import type { ObserverGuard } from '../base/observers.js'
import { portSchema } from '../base/options.js'
import type { OperationOutcome, OperationSpec } from '../../machines/operation-vocabulary.js'

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

/** The span of one operation. Tracing is worth no operation: the tracer stands behind a guard. */
export class OperationSpan {
  readonly #guard: ObserverGuard
  #span: Span | undefined

  constructor(tracer: Tracer, spec: OperationSpec, guard: ObserverGuard) {
    this.#guard = guard
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
    this.#guard(() => this.#span?.setAttribute('stateward.operation.outcome', outcome.type))
    if (outcome.type === 'failed') this.#fail(outcome.error)
    if (outcome.type === 'terminated') this.#fail(outcome.reason)
    this.#guard(() => this.#span?.end())
  }

  /** Ends without an outcome, because the operation was refused or its session closed first. */
  abandon(reason: string): void {
    this.#fail(reason)
    this.#guard(() => this.#span?.end())
  }

  #fail(message: string): void {
    this.#guard(() => this.#span?.setStatus({ code: errorStatus, message }))
  }
}
