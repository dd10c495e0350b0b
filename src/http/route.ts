import type { IncomingMessage } from 'node:http'
import type { Clock } from '../base/clock.js'
import type { Runtime } from '../runtime.js'
import type { OutputOf, Schema } from '../work/values.js'

/** A request, as `authorize` and routes see it. */
export interface HttpRequest {
  readonly method: string
  /** The path below the base path, as it was sent. */
  readonly path: string
  readonly query: URLSearchParams
  /** Path of the matching route, for instance `/tasks/:task`; absent if there is none. */
  readonly route?: string
  /** Named parts of the path, decoded: `session`, `operation`, `task`, ... */
  readonly params: Readonly<Record<string, string>>
  /** The value of a header; the name is case-insensitive. */
  header(name: string): string | undefined
  /** The original request, for cookies, addresses and what a framework has attached. */
  readonly raw: IncomingMessage | Request
}

/** A request to a route of any server. */
export interface ServedCall extends HttpRequest {
  /** The clock of the handler. */
  readonly clock: Clock
  /** Aborts if the client disconnects before the reply is complete. */
  readonly signal: AbortSignal
  /**
   * Reads the body: one JSON object, checked by a schema of any Standard Schema library. Rejects with
   * `unsupported_media_type`, `body_too_large`, and `invalid_input` naming the first invalid field.
   */
  json<Checked extends Schema>(schema: Checked): Promise<OutputOf<Checked>>
}

/** A request to a route of a runtime. */
export interface HttpCall extends ServedCall {
  readonly runtime: Runtime
}

/** One Server-Sent Event. */
export interface HttpEvent {
  /** The cursor that the client sends as `Last-Event-ID` when it reconnects. */
  readonly id?: string
  readonly event: string
  /** Sent as JSON. */
  readonly data: unknown
  /** @internal The data if it is already encoded as JSON. */
  readonly json?: string
}

/** The reply of a route: JSON, bytes, or a stream of events. */
export interface HttpReply {
  readonly status: number
  /** Sent as JSON, without the stacks of errors. */
  readonly body?: unknown
  /** Sent one by one, as fast as the client reads, with heartbeats in between. Replaces the body. */
  readonly events?: AsyncIterable<HttpEvent>
  /** Sent unchanged, with the content type in `headers`, as fast as the client reads. Replaces the body. */
  readonly bytes?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>
  readonly headers?: Readonly<Record<string, string>>
}

/** A route of a runtime. */
export interface HttpRoute extends ServedRoute<HttpCall> {}

/** A route whose calls have this type. */
export interface ServedRoute<Call extends ServedCall> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Parts that begin with a colon match any text, which is passed on in `params`: `/tasks/:task/answers/:name`. */
  readonly path: string
  /**
   * Answers a call. What it throws is answered by its `code`; an error that is not the client's fault is logged and
   * answered with 500, without details.
   */
  readonly handle: (call: Call) => HttpReply | Promise<HttpReply>
}
