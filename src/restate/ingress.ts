import { connect, rpc, type Ingress } from '@restatedev/restate-sdk-clients'
import * as v from 'valibot'
import { onAbort } from '../base/abort.js'
import { messageOf } from '../base/errors.js'
import { RestateError } from './errors.js'
import { connectTimeout, requestOverHttp } from './http-request.js'
import { providePromiseResolvers } from './polyfill.js'
import { refusalIn } from './wire.js'

/** Options of a call. */
export interface IngressCall {
  readonly signal?: AbortSignal
  /** A repeated call under the same key gets the answer of the first. */
  readonly idempotencyKey?: string
}

/** The answer to a call that did not succeed. */
export interface FailedAnswer {
  readonly status: number
  readonly body: string
}

/** Calls the engine from outside and reads its answers. */
export class RestateIngress {
  readonly url: string
  readonly #ingress: Ingress
  readonly #closed = new AbortController()

  constructor({ url }: { readonly url: string }) {
    this.url = url.replace(/\/+$/, '')
    providePromiseResolvers()
    this.#ingress = connect({ url: this.url, fetch: requestOverHttp as unknown as typeof fetch })
  }

  /** Aborts when the connection is closed. */
  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /** Ends all calls in progress and accepts no new ones. Both reject with `restate.connection_closed`. */
  close(): void {
    this.#closed.abort(new RestateError('restate.connection_closed', { ingress: this.url }))
  }

  /**
   * Calls a handler: `[service, key, handler]` or `[service, handler]`. Rejects with the refusal of the handler by its
   * own code, with `restate.unreachable`, `restate.call_failed`, `restate.connection_closed`, and with the signal's reason.
   */
  async call<Answered>(
    path: readonly [string, string, string] | readonly [string, string],
    request: unknown,
    schema: v.GenericSchema<unknown, Answered>,
    { signal, idempotencyKey }: IngressCall = {},
  ): Promise<Answered> {
    const target = path.join('/')
    const [service, second, third] = path
    let answer: unknown
    try {
      answer = await this.#whileOpen(signal, (until) =>
        this.#ingress.call<unknown, unknown>({
          service,
          handler: third ?? second,
          parameter: request,
          opts: rpc.opts({ signal: until, ...(idempotencyKey !== undefined && { idempotencyKey }) }),
          ...(third !== undefined && { key: second }),
        }),
      )
    } catch (thrown) {
      signal?.throwIfAborted()
      this.closed.throwIfAborted()
      const failed = failedAnswer(thrown) ?? unreadable(thrown)
      if (failed === undefined)
        throw new RestateError('restate.unreachable', { target, reason: reasonOf(thrown) }, { cause: thrown })
      throw refusalIn(bodyText(failed.body)) ?? new RestateError('restate.call_failed', { target, ...failed })
    }
    const read = v.safeParse(schema, answer)
    if (read.success) return read.output
    throw new RestateError('restate.call_failed', { target, status: 200, body: messageOf(answer) })
  }

  /**
   * Resolves with the result of a workflow run, whenever it ends. Rejects with the errors of the engine's own client.
   */
  attach(service: string, key: string, signal: AbortSignal): Promise<unknown> {
    const run = this.#ingress.workflowClient<{ readonly run: () => Promise<unknown> }>({ name: service }, key)
    return this.#whileOpen(signal, (until) => run.workflowAttach(rpc.opts({ signal: until })))
  }

  /** Makes a request with a signal that aborts with the caller's signal or when the ingress is closed. */
  async #whileOpen<Answered>(
    signal: AbortSignal | undefined,
    ask: (until: AbortSignal) => Promise<Answered>,
  ): Promise<Answered> {
    signal?.throwIfAborted()
    this.closed.throwIfAborted()
    const until = new AbortController()
    const forgetSignal = onAbort(signal, () => until.abort(signal?.reason))
    const forgetClosed = onAbort(this.closed, () => until.abort(this.closed.reason))
    try {
      return await ask(until.signal)
    } catch (thrown) {
      this.closed.throwIfAborted()
      throw thrown
    } finally {
      forgetSignal()
      forgetClosed()
    }
  }
}

/** The engine's answer to a failed call. `undefined` if there was none. */
export function failedAnswer(thrown: unknown): FailedAnswer | undefined {
  const { status, responseText } = thrown as { readonly status?: unknown; readonly responseText?: unknown }
  return typeof status === 'number' ? { status, body: typeof responseText === 'string' ? responseText : '' } : undefined
}

/** A successful answer that is not JSON. `undefined` for any other error. */
function unreadable(thrown: unknown): FailedAnswer | undefined {
  return thrown instanceof SyntaxError ? { status: 200, body: thrown.message } : undefined
}

/** Why there was no answer: the system error behind the client's error. */
export function reasonOf(thrown: unknown): string {
  const { cause, code } = thrown as { readonly cause?: unknown; readonly code?: unknown }
  // An address with several connections that were all refused has a code, but no message.
  const message = messageOf(thrown) || String(code)
  return cause === undefined ? message : `${message}: ${messageOf(cause)}`
}

/** Milliseconds after which a broken call must have been accepted by something. */
const heldMs = 1000

/**
 * True if a call was held open before its connection broke, for instance by a proxy. That is not an outage of the
 * engine.
 */
export function wasHeld(thrown: unknown, lastedMs: number): boolean {
  return lastedMs >= heldMs && !reasonOf(thrown).includes(connectTimeout)
}

/** The message in a JSON body. Any other body is returned unchanged. */
function bodyText(body: string): string {
  try {
    const { message } = JSON.parse(body) as { readonly message?: unknown }
    return typeof message === 'string' ? message : body
  } catch {
    return body
  }
}
