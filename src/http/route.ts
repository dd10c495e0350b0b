import type { IncomingMessage } from 'node:http'
import type { Clock } from '../base/clock.js'
import type { Runtime } from '../runtime.js'
import type { OutputOf, Schema } from '../work/values.js'

/** A request, as whoever decides about it sees it: `authorize` and routes. */
export interface HttpRequest {
  readonly method: string
  /** Below the base path, as it was sent. */
  readonly path: string
  readonly query: URLSearchParams
  /** Path of the route that answers, for instance `/tasks/:task`; absent where there is none. */
  readonly route?: string
  /** Named parts of the path, decoded: `session`, `operation`, `task`, ... */
  readonly params: Readonly<Record<string, string>>
  /** Value of a header, whatever the case of its name. */
  header(name: string): string | undefined
  /** What the server was given, for cookies, addresses and what a framework has put there. */
  readonly raw: IncomingMessage | Request
}

/** A request on its way through a route, whatever the route is about. */
export interface ServedCall extends HttpRequest {
  /** The clock of the handler. */
  readonly clock: Clock
  /** Aborts when the client has gone before it was answered to the end. */
  readonly signal: AbortSignal
  /**
   * The body: one JSON object, checked by a schema of any library that speaks Standard Schema. Rejects with
   * `unsupported_media_type`, `body_too_large`, and `invalid_input` naming the first offending field.
   */
  json<Checked extends Schema>(schema: Checked): Promise<OutputOf<Checked>>
}

/** A request on its way through a route. */
export interface HttpCall extends ServedCall {
  readonly runtime: Runtime
}

/** One Server-Sent Event. */
export interface HttpEvent {
  /** What the client comes back with as `Last-Event-ID`. */
  readonly id?: string
  readonly event: string
  /** Sent as JSON. */
  readonly data: unknown
  /** @internal The data as JSON, where it is text already. */
  readonly json?: string
}

/** The answer of a route: JSON, or a stream of events. */
export interface HttpReply {
  readonly status: number
  /** Sent as JSON, without the stacks of errors. */
  readonly body?: unknown
  /** Sent one by one, as fast as the client reads; heartbeats in between. Takes the place of the body. */
  readonly events?: AsyncIterable<HttpEvent>
  /** Sent as they are, under the content type of the headers, as fast as the client reads. Takes the place of the body. */
  readonly bytes?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>
  readonly headers?: Readonly<Record<string, string>>
}

/** What is answered, and how. */
export interface HttpRoute extends ServedRoute<HttpCall> {}

/** A route whose calls are of this shape. */
export interface ServedRoute<Call extends ServedCall> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Parts that begin with a colon match any text and are handed over as `params`: `/tasks/:task/answers/:name`. */
  readonly path: string
  /** What it throws is answered by its `code`; what is no fault of the client is logged and answered 500 without details. */
  readonly handle: (call: Call) => HttpReply | Promise<HttpReply>
}
