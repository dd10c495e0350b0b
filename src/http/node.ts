import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { StatewardError } from '../base/errors.js'
import { nodeBody } from './body.js'
import { eventPieces } from './events.js'
import { clientJson, commonHeaders } from './json.js'
import type { HttpReply, ServedCall } from './route.js'
import type { Incoming, Server } from './server.js'

/** Answers a Node request. Rejects only with what `next` throws. */
export async function serveNode<Call extends ServedCall>(
  server: Server<Call>,
  request: IncomingMessage,
  response: ServerResponse,
  next?: () => void,
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort(new StatewardError('client_gone', 'the client has gone', {})))
  // A failing response also emits `close`; without this listener `error` would crash the process.
  response.on('error', () => {})
  const incoming = incomingOf(request, gone.signal, next !== undefined)
  const reply = await server.answer(incoming)
  if (gone.signal.aborted) return
  if (reply === undefined) return next?.()
  try {
    await send(server, response, reply, gone.signal)
  } catch (error) {
    if (gone.signal.aborted) return
    const failure = server.failed(incoming, error)
    if (response.headersSent) response.destroy()
    else sendJson(response, failure)
  }
}

function incomingOf(request: IncomingMessage, signal: AbortSignal, hasNext: boolean): Incoming {
  const { headers, method = '', url: target = '' } = request
  return {
    method,
    target,
    // HTTP/2 sends the host as `:authority`.
    host: headers.host ?? (headers[':authority'] as string | undefined),
    header: (name) => textOf(headers[name.toLowerCase()]),
    body: () => nodeBody(request),
    raw: request,
    signal,
    hasNext,
  }
}

function textOf(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' || value === undefined ? value : value.join(', ')
}

async function send<Call extends ServedCall>(
  server: Server<Call>,
  response: ServerResponse,
  reply: HttpReply,
  signal: AbortSignal,
): Promise<void> {
  const { clock, heartbeatMs, stallMs } = server.options
  /**
   * Waits until the client reads on, and disconnects it after `stallMs`. A client of a stream may reconnect with its
   * cursor.
   */
  const readOn = async (event: 'drain' | 'close'): Promise<void> => {
    const timeout = clock.setTimeout(() => response.destroy(), stallMs)
    try {
      await once(response, event, { signal })
    } finally {
      clock.clearTimeout(timeout)
    }
  }
  const { events, bytes } = reply
  if (bytes !== undefined) {
    beginBytes(response, reply)
    for await (const piece of bytes) {
      signal.throwIfAborted()
      if (!response.write(piece)) await readOn('drain')
    }
    response.end()
  } else if (events === undefined) {
    sendJson(response, reply)
  } else if (response.req.method === 'HEAD') {
    beginEvents(response, reply)
    response.end()
  } else {
    using _ = server.openStream()
    beginEvents(response, reply)
    for await (const piece of eventPieces(events, { clock, heartbeatMs, signal })) {
      // The client reads more slowly than events arrive: wait for it instead of buffering.
      if (!response.write(piece)) await readOn('drain')
    }
    response.end()
  }
  // The operating system has not accepted everything yet.
  if (response.writableLength > 0) await readOn('close')
}

function sendJson(response: ServerResponse, { status, body, headers = {} }: HttpReply): void {
  const text = `${clientJson(body)}\n`
  // If the request body was not read to its end, the connection cannot be reused.
  const isLast = !response.req.complete
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    ...commonHeaders,
    ...(isLast && isHttp1(response) && { connection: 'close' }),
    ...headers,
  })
  response.end(text)
}

function beginBytes(response: ServerResponse, { status, headers = {} }: HttpReply): void {
  response.writeHead(status, { ...commonHeaders, ...headers })
}

function beginEvents(response: ServerResponse, { status, headers = {} }: HttpReply): void {
  response.writeHead(status, {
    'content-type': 'text/event-stream; charset=utf-8',
    ...commonHeaders,
    // No request follows a stream on its connection, so a server that is closing need not wait for one.
    ...(isHttp1(response) && { connection: 'close' }),
    ...headers,
  })
  response.flushHeaders()
}

function isHttp1({ req }: ServerResponse): boolean {
  return req.httpVersionMajor === 1
}
