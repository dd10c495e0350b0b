import type { IncomingMessage } from 'node:http'
import type { Clock } from '../base/clock.js'
import { StatewardError, toError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { readJson, type BodySource } from './body.js'
import { replyToError } from './errors.js'
import type { Guard } from './guard.js'
import type { HttpReply, HttpRequest, ServedCall, ServedRoute } from './route.js'
import { matchRoutes, methodOfRoute, readTarget, routeOf } from './router.js'

/** Options of {@link Server}. */
export interface ServerOptions<Call extends ServedCall> {
  /** Builds the argument of a route's `handle`. */
  readonly callOf: (call: ServedCall) => Call
  readonly routes: readonly ServedRoute<Call>[]
  readonly basePath: string
  readonly guard: Pick<Guard, 'checkHost' | 'checkOrigin' | 'checkCaller'>
  readonly maxBodyBytes: number
  readonly maxStreams: number
  readonly heartbeatMs: number
  readonly stallMs: number
  readonly clock: Clock
  readonly logger: Logger
}

/** A request, independent of the server that received it. */
export interface Incoming {
  readonly method: string
  /** A path with its query, or an absolute URL. */
  readonly target: string
  readonly host: string | undefined
  readonly header: (name: string) => string | undefined
  readonly body: () => BodySource
  readonly raw: IncomingMessage | Request
  /** Aborts when the client has disconnected. */
  readonly signal: AbortSignal
  /** Whether a request that matches no route is passed on. */
  readonly hasNext: boolean
}

/** Computes the reply to a request; the adapters for Node and Fetch send it. */
export class Server<Call extends ServedCall> {
  readonly options: ServerOptions<Call>
  #streams = 0

  constructor(options: ServerOptions<Call>) {
    this.options = options
  }

  /** The reply to a request; `undefined` if it is to be passed on. Never rejects. */
  async answer(incoming: Incoming): Promise<HttpReply | undefined> {
    try {
      return await this.#answer(incoming)
    } catch (error) {
      return this.failed(incoming, error)
    }
  }

  /** The reply to an error; a failure of the service is logged. */
  failed({ method, target, signal }: Incoming, error: unknown): HttpReply {
    const reply = replyToError(error)
    // After the client has disconnected, reading its request fails, which is no fault of the service and not logged.
    if (reply.status === 500 && !signal.aborted) {
      const { stack, message } = toError(error)
      this.options.logger.error({ method, target: target.slice(0, 256), error: stack ?? message }, 'a request failed')
    }
    return reply
  }

  /** Counts a stream as open until it is disposed. Raises `too_many_streams`. */
  openStream(): Disposable {
    const { maxStreams } = this.options
    if (this.#streams >= maxStreams) {
      throw new StatewardError('too_many_streams', `more than ${maxStreams} streams are open`, { limit: maxStreams })
    }
    this.#streams += 1
    let isOpen = true
    return {
      [Symbol.dispose]: () => {
        if (isOpen) this.#streams -= 1
        isOpen = false
      },
    }
  }

  async #answer(incoming: Incoming): Promise<HttpReply | undefined> {
    const { callOf, clock, routes, basePath, guard, maxBodyBytes } = this.options
    const { method, header, raw, signal, host, hasNext } = incoming
    const target = readTarget(incoming.target, basePath)
    const { path, query } = target
    const matches = path === undefined ? [] : matchRoutes(routes, path)
    if (matches.length === 0 && hasNext) return undefined
    guard.checkHost(host)
    if (target.host !== undefined) guard.checkHost(target.host)
    guard.checkOrigin(header('origin'), host)
    const match = matches.find(({ route }) => route.method === methodOfRoute(method)) ?? matches[0]
    const request: HttpRequest = {
      method,
      path: path ?? '',
      query,
      params: match?.params ?? {},
      header,
      raw,
      ...(match !== undefined && { route: match.route.path }),
    }
    await guard.checkCaller(request)
    const { route, params } = routeOf(matches, method, request.path)
    const call = callOf({
      ...request,
      params,
      clock,
      signal,
      json: (schema) => readJson(incoming.body(), schema, maxBodyBytes),
    })
    return checkReply(await route.handle(call), route)
  }
}

/** Raises `internal` if a route returned no valid status, because its client would wait forever. */
function checkReply(
  reply: HttpReply | undefined,
  { method, path }: Pick<ServedRoute<never>, 'method' | 'path'>,
): HttpReply {
  const status: unknown = reply?.status
  if (reply !== undefined && typeof status === 'number' && Number.isInteger(status) && status >= 200 && status <= 599) {
    return reply
  }
  throw new StatewardError('internal', `the route ${method} ${path} answers without a status from 200 to 599`, {})
}
