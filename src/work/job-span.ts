import { AsyncResource } from 'node:async_hooks'
import type { ErrorDetails } from '../base/error-details.js'
import type { ObserverGuard } from '../base/observers.js'
import { portSchema } from '../base/options.js'
import { type SpanContext, spanContextOf, traceparentOf } from './trace-context.js'

/** Attributes of a span: texts and numbers. */
export type SpanAttributes = Readonly<Record<string, string | number>>

/** Options of starting a span. */
export interface SpanOptions {
  /** `SpanKind` of the OpenTelemetry API. */
  readonly kind?: number
  readonly attributes: SpanAttributes
  /** True: the span gets no parent, whatever span is active. */
  readonly root?: boolean
  /** Spans that caused this one. */
  readonly links?: { readonly context: SpanContext }[]
}

/** The part of a tracer that stateward uses. A tracer of `@opentelemetry/api` fits. */
export interface Tracer {
  startSpan(name: string, options: SpanOptions): Span
  /**
   * Starts a span that is active while the function runs. Without this method, spans created inside the work have no
   * parent.
   */
  startActiveSpan?<Result>(name: string, options: SpanOptions, work: (span: Span) => Result): Result
}

/** The part of a span that stateward uses. */
export interface Span {
  setAttribute(key: string, value: string): unknown
  setStatus(status: { readonly code: number; readonly message: string }): unknown
  recordException?(exception: { readonly name: string; readonly message: string; readonly stack?: string }): unknown
  spanContext?(): SpanContext
  end(): void
}

/** Accepts a {@link Tracer}. */
export const tracerSchema = portSchema<Tracer>(['startSpan'], ['startActiveSpan'])

/** `SpanStatusCode.ERROR` of the OpenTelemetry API, written out so that the API is not needed. */
const errorStatus = 2

/** Some values of `SpanKind` of the OpenTelemetry API. */
export const spanKinds = { internal: 0, producer: 3, consumer: 4 } as const

/** The start of a job's span. */
export interface SpanStart extends Omit<SpanOptions, 'links'> {
  /** One of a few names. Attributes distinguish individual spans. */
  readonly name: string
  /** The attribute that gets the outcome of the work at the end. */
  readonly outcomeAttribute: string
  /** The `traceparent` of the cause of the work, if there is one. */
  readonly linkTo?: string | undefined
}

/** The error of a span. */
export interface SpanError {
  readonly message: string
  /** The details of a thrown error. */
  readonly cause?: ErrorDetails
  /** A low-cardinality error type, if nothing was thrown. */
  readonly type?: string
}

/**
 * The span of one job, active inside its work. A failing tracer never affects the job: all its calls are guarded.
 *
 * A tracer can make a span active only while it starts it. So the asynchronous context at that moment, which includes
 * the caller's context, is saved and entered again when the work runs.
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

  /** The span's `traceparent`, to be stored with its consequences; `undefined` if the tracer does not record it. */
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

  /** Sets an attribute that is only known after the span has begun. */
  setAttribute(key: string, value: string): void {
    this.#guard(() => this.#span?.setAttribute(key, value))
  }

  /** Ends the span with the outcome of the work. An `error` marks it as failed. */
  end(outcome: string, error?: SpanError): void {
    this.setAttribute(this.#outcomeAttribute, outcome)
    this.#close(error)
  }

  /** Ends the span without an outcome, because the work was refused or its owner has gone. */
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

/** The attribute `error.type` of a thrown value: its code, or the name of its class. */
export function errorTypeOf({ code, name }: ErrorDetails): string {
  return code ?? name
}
