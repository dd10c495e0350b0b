import type { ObserverGuard } from '../base/observers.js'
import { portSchema } from '../base/options.js'

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

/** What a span says of itself when it begins. */
export interface SpanStart {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  /** Attribute that says in the end what has come of the work. */
  readonly outcomeAttribute: string
}

/** The span of one job. Tracing is worth no job: the tracer stands behind a guard. */
export class JobSpan {
  readonly #guard: ObserverGuard
  readonly #outcomeAttribute: string
  #span: Span | undefined

  constructor(tracer: Tracer, { name, attributes, outcomeAttribute }: SpanStart, guard: ObserverGuard) {
    this.#guard = guard
    this.#outcomeAttribute = outcomeAttribute
    guard(() => {
      this.#span = tracer.startSpan(name, { attributes })
    })
  }

  /** Ends with what has come of the work; a text of what went wrong makes it an error. */
  end(outcome: string, error?: string): void {
    this.#guard(() => this.#span?.setAttribute(this.#outcomeAttribute, outcome))
    this.#close(error)
  }

  /** Ends without an outcome, because the work was refused or its owner went away first. */
  abandon(reason: string): void {
    this.#close(reason)
  }

  #close(error: string | undefined): void {
    if (error !== undefined) this.#guard(() => this.#span?.setStatus({ code: errorStatus, message: error }))
    this.#guard(() => this.#span?.end())
  }
}
