import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.js'
import { StatewardError } from '../../base/errors.js'
import type { Logger } from '../../base/logger.js'
import { silence } from '../../base/promises.js'
import { Guard, localHosts } from '../../http/guard.js'
import { serveNode } from '../../http/node.js'
import { Server } from '../../http/server.js'
import type { HttpRequest } from '../../http/route.js'
import type { InspectorSource } from '../sources/source.js'
import { inspectorRoutes, type InspectorCall } from './routes.js'

/** How a source is served. */
export interface InspectorServing {
  readonly source: InspectorSource
  readonly token: string
  readonly hosts?: readonly string[] | 'any' | undefined
  readonly origins?: readonly string[] | undefined
  readonly basePath?: string | undefined
  readonly authorize?: ((request: HttpRequest) => boolean | Promise<boolean>) | undefined
  readonly clock: Clock
  readonly logger: Logger
}

/** The maximum size of a request body in bytes; the largest are answers to questions. */
const maxBodyBytes = 256 * 1024
/** The maximum number of open pages. */
const maxStreams = 32
const heartbeatMs = 15_000
/**
 * How long a page has to read the next 64 KiB, in milliseconds; after that its connection is closed, and it may
 * reconnect.
 */
const stallMs = 30_000

/** A secret that cannot be guessed: 192 random bits. */
export function randomToken(): string {
  return randomBytes(24).toString('base64url')
}

/** Handles requests for a source. */
export type InspectorRequestHandler = (request: IncomingMessage, response: ServerResponse, next?: () => void) => void

/** Serves a source to clients that know the token. */
export function serveSource(serving: InspectorServing): InspectorRequestHandler {
  const { source, token, hosts = localHosts, origins = [], basePath = '', authorize, clock, logger } = serving
  const guard = new Guard({
    token: [],
    authorize,
    hosts: hosts === 'any' ? hosts : hosts.map((host) => host.toLowerCase()),
    origins,
  })
  const digest = digestOf(token)
  const server = new Server<InspectorCall>({
    callOf: (call) => ({ ...call, source }),
    routes: inspectorRoutes,
    basePath,
    maxBodyBytes,
    maxStreams,
    heartbeatMs,
    stallMs,
    clock,
    logger,
    guard: {
      checkHost: (host) => guard.checkHost(host),
      checkOrigin: (origin, host) => guard.checkOrigin(origin, host),
      checkCaller: async (request) => {
        if (!timingSafeEqual(digestOf(request.params['token'] ?? ''), digest)) {
          throw new StatewardError(
            'forbidden',
            'the address of the inspector is not known: its secret is missing or wrong',
            {},
          )
        }
        await guard.checkCaller(request)
      },
    },
  })
  return (request, response, next) => void silence(serveNode(server, request, response, next))
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
