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

/** `SpanStatusCode.ERROR` of the OpenTelemetry API. */
const errorStatus = 2

/** Opens the span of one operation. */
export function startOperationSpan(tracer: Tracer, spec: OperationSpec): Span {
  return tracer.startSpan(`operation ${spec.displayName}`, {
    attributes: {
      'stateward.operation.id': spec.id,
      'stateward.operation.kind': spec.kind,
      'stateward.session.id': spec.ownerSessionId,
    },
  })
}

/** Ends the span with the outcome; a failure or termination marks it as an error. */
export function endOperationSpan(span: Span, outcome: OperationOutcome): void {
  span.setAttribute('stateward.operation.outcome', outcome.type)
  if (outcome.type === 'failed') span.setStatus({ code: errorStatus, message: outcome.error })
  if (outcome.type === 'terminated') span.setStatus({ code: errorStatus, message: outcome.reason })
  span.end()
}

/** Ends the span of an operation that has no outcome, because it was refused or its session closed first. */
export function abandonOperationSpan(span: Span, reason: string): void {
  span.setStatus({ code: errorStatus, message: reason })
  span.end()
}
