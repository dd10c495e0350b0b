import { AsyncResource } from 'node:async_hooks'
import type { ErrorDetails } from '../base/error-details.js'
import type { ObserverGuard } from '../base/observers.js'
import { portSchema } from '../base/options.js'
import { type SpanContext, spanContextOf, traceparentOf } from './trace-context.js'

/** What a span says of itself; texts and numbers. */
export type SpanAttributes = Readonly<Record<string, string | number>>

/** What a span is started with. */
export interface SpanOptions {
  /** `SpanKind` of the OpenTelemetry API. */
  readonly kind?: number
  readonly attributes: SpanAttributes
  /** True: of no other span, whatever is active. */
  readonly root?: boolean
  /** Spans that led to this one. */
  readonly links?: { readonly context: SpanContext }[]
}

/** What stateward uses of a tracer; the one of `@opentelemetry/api` fits. */
export interface Tracer {
  startSpan(name: string, options: SpanOptions): Span
  /** Starts a span that is the active one while the function runs. Without it, spans inside work have no parent in it. */
  startActiveSpan?<Result>(name: string, options: SpanOptions, work: (span: Span) => Result): Result
}

/** What stateward uses of a span. */
export interface Span {
  setAttribute(key: string, value: string): unknown
  setStatus(status: { readonly code: number; readonly message: string }): unknown
  recordException?(exception: { readonly name: string; readonly message: string; readonly stack?: string }): unknown
  spanContext?(): SpanContext
  end(): void
}

/** Accepts a {@link Tracer}. */
export const tracerSchema = portSchema<Tracer>(['startSpan'], ['startActiveSpan'])

/** `SpanStatusCode.ERROR` of the OpenTelemetry API, spelled out so that the API is not needed. */
const errorStatus = 2

/** Members of `SpanKind` of the OpenTelemetry API. */
export const spanKinds = { internal: 0, producer: 3, consumer: 4 } as const

/** What a span says of itself when it begins. */
export interface SpanStart extends Omit<SpanOptions, 'links'> {
  /** One of a few: what tells one apart from another is an attribute. */
  readonly name: string
  /** Attribute that says in the end what has come of the work. */
  readonly outcomeAttribute: string
  /** The `traceparent` of what led to the work, if there is one. */
  readonly linkTo?: string | undefined
}

/** What went wrong, for a span. */
export interface SpanError {
  readonly message: string
  /** What was thrown. */
  readonly cause?: ErrorDetails
  /** A low-cardinality word for it, where nothing was thrown. */
  readonly type?: string
}

/**
 * The span of one job, active inside its work. Tracing is worth no job: the tracer stands behind a guard.
 *
 * A tracer can make a span active only while it starts it. What is active there, with everything else that goes with the
 * asynchronous context of whoever asked for the work, is kept and entered again when the work runs.
 */
export class JobSpan {
  readonly #guard: ObserverGuard
  readonly #outcomeAttribute: string
  #span: Span | undefined
  #scope: AsyncResource | undefined

  constructor(tracer: Tracer, { name, outcomeAttribute, linkTo, ...rest }: SpanStart, guard: ObserverGuard) {
    this.#guard = guard
    this.#outcomeAttribute = outcomeAttribute
    const context = linkTo === undefined ? undefined : spanContextOf(linkTo)
    const options = { ...rest, ...(context !== undefined && { links: [{ context }] }) }
    guard(() => {
      if (tracer.startActiveSpan === undefined) this.#span = tracer.startSpan(name, options)
      else tracer.startActiveSpan(name, options, (span) => this.#keep(span))
    })
  }

  /** Where it stands, to be kept with what follows from it; `undefined` where it stands nowhere. */
  get traceparent(): string | undefined {
    let text: string | undefined
    this.#guard(() => {
      const context = this.#span?.spanContext?.()
      text = context === undefined ? undefined : traceparentOf(context)
    })
    return text
  }

  /** Calls the function with the span active. */
  run<Result>(work: () => Result): Result {
    return this.#scope === undefined ? work() : this.#scope.runInAsyncScope(work)
  }

  /** Takes what is known only after the span has begun. */
  setAttribute(key: string, value: string): void {
    this.#guard(() => this.#span?.setAttribute(key, value))
  }

  /** Ends with what has come of the work; what went wrong makes it an error. */
  end(outcome: string, error?: SpanError): void {
    this.setAttribute(this.#outcomeAttribute, outcome)
    this.#close(error)
  }

  /** Ends without an outcome, because the work was refused or its owner went away first. */
  abandon(reason: string): void {
    this.#close({ message: reason })
  }

  #keep(span: Span): void {
    this.#span = span
    this.#scope = new AsyncResource('stateward.job')
  }

  #close(error: SpanError | undefined): void {
    if (error !== undefined) this.#tellError(error)
    this.#guard(() => this.#span?.end())
  }

  #tellError({ message, cause, type }: SpanError): void {
    const word = cause === undefined ? type : errorTypeOf(cause)
    if (word !== undefined) this.setAttribute('error.type', word)
    if (cause !== undefined) this.#guard(() => this.#span?.recordException?.(cause))
    this.#guard(() => this.#span?.setStatus({ code: errorStatus, message }))
  }
}

/** The attribute `error.type` of what was thrown: its code, or the name of its class. */
export function errorTypeOf({ code, name }: ErrorDetails): string {
  return code ?? name
}
