import { once } from 'node:events'
import { createServer, STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { StatewardError, systemClock, type Clock, type Logger, type Runtime } from 'stateward'
import { createHttpHandler, replyToError } from 'stateward/http'
import { routes } from './routes.js'

export interface AgentServiceOptions {
  /** Closed together with the service. */
  readonly runtime: Runtime
  /** 0 lets the system choose a port. */
  readonly port?: number
  readonly clock?: Clock
  readonly logger?: Logger
  readonly maxBodyBytes?: number
  readonly heartbeatMs?: number
  /** How long running work, and then open streams, may take to end, in milliseconds. */
  readonly graceMs?: number
}

export interface AgentService {
  readonly url: string
  /** Refuses new requests, ends running work, lets the streams deliver its completions, and releases everything. */
  close(): Promise<void>
}

/** This machine only: the service does not authenticate anybody. */
const host = '127.0.0.1'

/** Starts serving a runtime over HTTP. */
export async function startAgentService({
  runtime,
  port = 0,
  graceMs = 5000,
  ...rest
}: AgentServiceOptions): Promise<AgentService> {
  const { clock = systemClock } = rest
  const handler = createHttpHandler({ ...rest, runtime, routes, unprotected: true })
  /** The answer in progress on each connection. */
  const answers = new WeakMap<Duplex, ServerResponse>()
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    answers.set(request.socket, response)
    handler.node(request, response)
  }
  // A request without a host is refused like any other bad request, with a body.
  const server = createServer({ requireHostHeader: false }, serve)
  // An unknown expectation may be ignored; Node would answer without a body.
  server.on('checkExpectation', serve)
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const { headersSent = false, writableFinished = true } = answers.get(socket) ?? {}
    // There is no answer to a client that has gone, nor in the middle of another answer.
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

  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    const closed = once(server, 'close')
    server.close()
    await runtime.close({ policy: 'retire', graceMs, reason: 'the service was stopped' })
    // The streams still deliver their last completions; a client that does not read is not waited for.
    const grace = clock.setTimeout(() => server.closeAllConnections(), graceMs)
    server.closeIdleConnections()
    await closed
    clock.clearTimeout(grace)
  }
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    close: () => (closing ??= close()),
  }
}

/** Converts a parse error of Node to an error of ours. */
function toRequestError({ code, message }: NodeJS.ErrnoException): StatewardError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new StatewardError('request_timeout', 'the request did not come in time', {})
    case 'HPE_HEADER_OVERFLOW':
      return new StatewardError('headers_too_large', 'the headers are too large', {})
    default:
      return new StatewardError('malformed_request', message, { reason: code ?? null })
  }
}

/** Answers something that was not even a request, and closes the connection. */
function refuse(socket: Duplex, error: StatewardError): void {
  const { status, body, headers = {} } = replyToError(error)
  const text = `${JSON.stringify(body)}\n`
  const lines = Object.entries<string>({
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(text)),
    connection: 'close',
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${text}`, () => socket.destroy())
}
