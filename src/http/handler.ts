import type { IncomingMessage, ServerResponse } from 'node:http'
import * as v from 'valibot'
import { systemClock, type Clock } from '../base/clock.js'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { guardedLogger } from '../base/observers.js'
import {
  durationSchema,
  functionSchema,
  nameSchema,
  optionsSchema,
  portSchema,
  wholeNumberSchema,
} from '../base/options.js'
import { clockSchema, loggerSchema } from '../base/ports.js'
import { silence } from '../base/promises.js'
import type { Runtime } from '../runtime.js'
import { serveFetch } from './fetch.js'
import { Guard, localHosts } from './guard.js'
import { serveNode } from './node.js'
import type { HttpCall, HttpRequest, HttpRoute } from './route.js'
import { Server } from './server.js'
import { sessionRoutes } from './session-routes.js'
import { statusRoutes } from './status-routes.js'
import { taskRoutes } from './task-routes.js'

/** Options of {@link createHttpHandler}. One of `token`, `authorize` and `unprotected` is required. */
export interface HttpHandlerOptions {
  readonly runtime: Runtime
  /**
   * Required from every caller as `authorization: Bearer <token>`. Pass several while you rotate tokens. At least 16
   * characters.
   */
  readonly token?: string | readonly string[]
  /**
   * Decides about each request, after `token` if both are given. Anything but `true` refuses the request, and so does
   * an error.
   */
  readonly authorize?: (request: HttpRequest) => boolean | Promise<boolean>
  /** `true`: anyone who reaches this service under one of its `hosts` is allowed everything. */
  readonly unprotected?: boolean
  /**
   * The names under which this service is reached, with a port or for all ports. `any` if something else checks the
   * host; it cannot be combined with `unprotected`. Default: `localhost`, `127.0.0.1` and `[::1]`.
   */
  readonly hosts?: readonly string[] | 'any'
  /**
   * Origins of other pages that may send requests, for instance `https://app.example.org`. Pages of the same host
   * always may.
   */
  readonly origins?: readonly string[]
  /** The path prefix of the routes, for instance `/stateward`, unless the framework strips it. Default: none. */
  readonly basePath?: string
  /** The routes; the first that matches a request answers it. Default: {@link runtimeRoutes}. */
  readonly routes?: readonly HttpRoute[]
  /** Maximum size of a body, in bytes. Default 262,144. */
  readonly maxBodyBytes?: number
  /** Maximum number of open streams; more are refused with `too_many_streams`. Default 1,000. */
  readonly maxStreams?: number
  /** Milliseconds of silence after which a comment shows that a stream is alive. Default 15,000. */
  readonly heartbeatMs?: number
  /**
   * Milliseconds in which the client of a stream must read the next 64 KiB; otherwise it is disconnected, and may
   * reconnect. Default 30,000.
   */
  readonly stallMs?: number
  /** Default: the system clock. */
  readonly clock?: Clock
  /** Receives the errors behind replies with status 500. */
  readonly logger?: Logger
}

/** Answers requests about a runtime. Both functions can be passed on without binding. */
export interface HttpHandler {
  /**
   * For `node:http`, Express (`app.use(handler.node)`) and Fastify (`reply.hijack(); handler.node(request.raw,
   * reply.raw)`). If `next` is given, a request that matches no route is passed on to it.
   */
  readonly node: (request: IncomingMessage, response: ServerResponse, next?: () => void) => void
  /** For anything that speaks Fetch, such as Hono (`app.mount('/stateward', handler.fetch)`). Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>
}

/**
 * Read-only routes for the status, sessions, operations and tasks of a runtime. Put your own routes before or after
 * them.
 */
export const runtimeRoutes: readonly HttpRoute[] = [...statusRoutes, ...sessionRoutes, ...taskRoutes]

/** Long enough not to be guessed. */
const tokenSchema = v.custom<string>(
  (input) => typeof input === 'string' && /^[\x21-\x7e]{16,1024}$/.test(input),
  'not 16 to 1024 printable characters without a space',
)

const pathSchema = v.custom<string>(
  (input) => typeof input === 'string' && /^(\/[^/?#]+)+$/.test(input),
  'not a path such as /stateward, without a slash at its end',
)

const originSchema = v.custom<string>(
  (input) => typeof input === 'string' && URL.canParse(input) && new URL(input).origin === input,
  'not an origin such as https://app.example.org',
)

const routeSchema = v.custom<HttpRoute>((input) => {
  if (typeof input !== 'object' || input === null) return false
  const { method, path, handle } = input as Partial<HttpRoute>
  const isKnown = typeof method === 'string' && ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].includes(method)
  return isKnown && typeof path === 'string' && path.startsWith('/') && typeof handle === 'function'
}, 'not a route: { method, path, handle }')

/** The list is not copied, so that routes added to it later are served too. */
const routesSchema = v.custom<readonly HttpRoute[]>(
  (input) => v.is(v.array(routeSchema), input),
  'not a list of routes { method, path, handle }',
)

const optionsOfHandler = optionsSchema<HttpHandlerOptions>({
  runtime: portSchema<Runtime>(['findSession', 'sessions']),
  token: v.optional(
    v.union([tokenSchema, v.pipe(v.array(tokenSchema), v.minLength(1))], tokenSchema.message as string),
  ),
  authorize: v.optional(functionSchema<NonNullable<HttpHandlerOptions['authorize']>>()),
  unprotected: v.optional(v.boolean()),
  hosts: v.optional(v.union([v.literal('any'), v.array(nameSchema)], 'neither a list of names nor "any"')),
  origins: v.optional(v.array(originSchema, 'not a list')),
  basePath: v.optional(pathSchema),
  routes: v.optional(routesSchema),
  maxBodyBytes: v.optional(wholeNumberSchema(0)),
  maxStreams: v.optional(wholeNumberSchema(0)),
  heartbeatMs: v.optional(durationSchema),
  stallMs: v.optional(durationSchema),
  clock: v.optional(clockSchema),
  logger: v.optional(loggerSchema),
})

/**
 * Serves a runtime over HTTP: completions of operations and tasks as Server-Sent Events that survive broken
 * connections, status and lists as JSON. Streams end with the runtime; closing the server is up to you.
 *
 * Raises `invalid_input` naming the option, also if no option says who may send requests.
 */
export function createHttpHandler(options: HttpHandlerOptions): HttpHandler {
  const decoded = decode(optionsOfHandler, options, 'HTTP handler options')
  checkProtection(decoded)
  const { runtime, routes = runtimeRoutes, token = [], authorize, hosts = localHosts, origins = [] } = decoded
  const {
    basePath = '',
    maxBodyBytes = 256 * 1024,
    maxStreams = 1000,
    heartbeatMs = 15_000,
    stallMs = 30_000,
  } = decoded
  const server = new Server<HttpCall>({
    callOf: (call) => ({ ...call, runtime }),
    routes,
    basePath,
    maxBodyBytes,
    maxStreams,
    heartbeatMs,
    stallMs,
    clock: decoded.clock ?? systemClock,
    logger: guardedLogger(decoded.logger),
    guard: new Guard({
      token: typeof token === 'string' ? [token] : token,
      authorize,
      hosts: hosts === 'any' ? hosts : hosts.map((host) => host.toLowerCase()),
      origins,
    }),
  })
  return {
    node: (request, response, next) => void silence(serveNode(server, request, response, next)),
    fetch: (request) => serveFetch(server, request),
  }
}

function checkProtection({ token, authorize, unprotected, hosts }: HttpHandlerOptions): void {
  const isProtected = token !== undefined || authorize !== undefined
  const fail = (field: string, reason: string): never => {
    throw new InvalidInputError({ subject: 'HTTP handler options', field, reason })
  }
  if (unprotected === true && isProtected) fail('unprotected', 'contradicts token and authorize')
  if (unprotected === true && hosts === 'any') fail('hosts', '"any" needs a token or authorize')
  if (unprotected !== true && !isProtected) {
    fail('authorize', 'missing: give a token or authorize, or say unprotected: true')
  }
}
