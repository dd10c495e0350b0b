import { once } from 'node:events'
import { createServer, STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  InvalidInputError,
  silentLogger,
  StatewardError,
  systemClock,
  type Clock,
  type Logger,
  type Runtime,
} from 'stateward'
import { clientJson } from './client-json.js'
import { detailsOf, replyToError, toRequestError } from './errors.js'
import { routes, type Reply, type Route, type RouteContext } from './routes.js'

export interface AgentServiceOptions {
  /** Closed together with the service. */
  readonly runtime: Runtime
  /** 0 lets the system choose. */
  readonly port?: number
  readonly clock?: Clock
  readonly logger?: Logger
  readonly maxBodyBytes?: number
  readonly heartbeatMs?: number
  /** Milliseconds that running work, and then open streams, are given to end. */
  readonly graceMs?: number
}

export interface AgentService {
  readonly url: string
  /** Takes no more requests, ends what runs, lets the streams deliver it, and lets go of everything. */
  close(): Promise<void>
}

/** Nobody but this machine: the service asks nobody who they are. */
const host = '127.0.0.1'

/** Starts to serve a runtime over HTTP. */
export async function startAgentService({
  runtime,
  port = 0,
  clock = systemClock,
  logger = silentLogger,
  maxBodyBytes = 256 * 1024,
  heartbeatMs = 15_000,
  graceMs = 5000,
}: AgentServiceOptions): Promise<AgentService> {
  let closing: Promise<void> | undefined
  const context: RouteContext = { runtime, clock, maxBodyBytes, heartbeatMs, isClosing: () => closing !== undefined }
  /** The answer under way on each connection. */
  const answers = new WeakMap<Duplex, ServerResponse>()
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    answers.set(request.socket, response)
    void answer(request, response, context, logger)
  }
  // A request without a host is refused with the others, and with a body.
  const server = createServer({ requireHostHeader: false }, serve)
  // An expectation that nobody knows may be ignored; Node would answer without a body.
  server.on('checkExpectation', serve)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const { headersSent = false, writableFinished = true } = answers.get(socket) ?? {}
    // Nothing can be said to a client that has gone, nor in the middle of an answer.
    const canAnswer = socket.writable && error.code !== 'ECONNRESET' && (writableFinished || !headersSent)
    if (canAnswer) refuse(socket, toRequestError(error))
    else socket.destroy()
  })
  server.on('connect', (_, socket: Duplex) => {
    refuse(
      socket,
      new StatewardError('method_not_allowed', 'CONNECT is not possible here', { method: 'CONNECT', allowed: [] }),
    )
  })
  server.listen(port, host)
  await once(server, 'listening')

  const close = async (): Promise<void> => {
    const closed = once(server, 'close')
    server.close()
    await runtime.close({ policy: 'retire', graceMs, reason: 'the service was stopped' })
    // The streams have their last completions to deliver; a client that does not read is not waited for.
    const grace = clock.setTimeout(() => server.closeAllConnections(), graceMs)
    await closed
    clock.clearTimeout(grace)
  }
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    close: () => (closing ??= close()),
  }
}

/** Answers one request; never rejects. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  context: RouteContext,
  logger: Logger,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new StatewardError('client_gone', 'the client has gone', {})))
  try {
    checkHost(request)
    const { pathname, searchParams } = readTarget(request.url ?? '')
    const { route, params } = findRoute(request.method ?? '', pathname)
    const call = { request, response, params, query: searchParams, signal: gone.signal }
    const reply = await route.handle(call, context)
    if (reply !== undefined) send(response, reply, context)
  } catch (error) {
    if (gone.signal.aborted) return
    const reply = replyToError(error)
    if (reply.status === 500) logger.error({ error: detailsOf(error), url: request.url }, 'a request failed')
    if (response.headersSent) response.destroy()
    else send(response, reply, context)
  }
}

function send(response: ServerResponse, { status, body, headers = {} }: Reply, { isClosing }: RouteContext): void {
  // A body that was not read to its end leaves the connection unusable.
  const isLast = isClosing() || !response.req.complete
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    ...(isLast && { connection: 'close' }),
    ...headers,
  })
  response.end(`${clientJson(body)}\n`)
}

/** Answers what did not even become a request, and hangs up. */
function refuse(socket: Duplex, error: StatewardError): void {
  const { status, body, headers = {} } = replyToError(error)
  const text = `${clientJson(body)}\n`
  const lines = Object.entries({
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(text)),
    connection: 'close',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${text}`, () => socket.destroy())
}

/** Reads what is asked for: a path, or a whole address as proxies send it. Throws `invalid_input`. */
function readTarget(target: string): URL {
  // To a URL parser a path that begins with two slashes would name a host.
  const address = target.startsWith('/') ? `http://${host}${target}` : target
  if (/^https?:\/\//i.test(address) && URL.canParse(address)) return new URL(address)
  throw new InvalidInputError({ subject: 'request target', field: '$', reason: 'neither a path nor an address' })
}

/** A web page can have its own name point to this machine; then the browser names that name. Throws `host_refused`. */
function checkHost({ headers }: IncomingMessage): void {
  if (/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(headers.host ?? '')) return
  throw new StatewardError('host_refused', 'this service answers to 127.0.0.1 and localhost only', {})
}

/** Throws `route_not_found`, `method_not_allowed`, or `invalid_input` for a path that is not well-formed. */
function findRoute(
  method: string,
  pathname: string,
): { readonly route: Route; readonly params: Record<string, string> } {
  const parts = pathname.split('/').map(decodePart)
  const matches = routes.flatMap((route) => {
    const params = matchPath(route.path, parts)
    return params === undefined ? [] : { route, params }
  })
  if (matches.length === 0)
    throw new StatewardError('route_not_found', `no such route: ${pathname}`, { path: pathname })
  const found = matches.find(({ route }) => route.method === method)
  if (found !== undefined) return found
  const allowed = matches.map(({ route }) => route.method)
  throw new StatewardError('method_not_allowed', `${method} is not possible here`, { method, allowed })
}

function matchPath(path: string, parts: readonly string[]): Record<string, string> | undefined {
  const pattern = path.split('/')
  if (pattern.length !== parts.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, expected] of pattern.entries()) {
    const part = parts[index] ?? ''
    if (expected.startsWith(':')) params[expected.slice(1)] = part
    else if (expected !== part) return undefined
  }
  return params
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch (cause) {
    throw new InvalidInputError({ subject: 'path', field: '$', reason: 'not well-formed' }, { cause })
  }
}
