import { onAbort } from '../base/abort.js'
import { StatewardError } from '../base/errors.js'
import { silence } from '../base/promises.js'
import { fetchBody } from './body.js'
import { eventPieces } from './events.js'
import { clientJson, commonHeaders } from './json.js'
import type { HttpEvent, HttpReply, ServedCall } from './route.js'
import type { Incoming, Server } from './server.js'

/** Answers a Fetch request. Never rejects. */
export async function serveFetch<Call extends ServedCall>(server: Server<Call>, request: Request): Promise<Response> {
  const gone = new AbortController()
  const leave = (): void => gone.abort(new StatewardError('client_gone', 'the client has gone', {}))
  if (request.signal.aborted) leave()
  onAbort(gone.signal, onAbort(request.signal, leave))
  const incoming = incomingOf(request, gone.signal)
  const reply = (await server.answer(incoming)) as HttpReply
  try {
    const { events, bytes } = reply
    if (bytes !== undefined && request.method !== 'HEAD') return bytesResponse({ ...reply, bytes }, leave)
    if (events !== undefined && request.method !== 'HEAD') {
      return eventResponse(server, { ...reply, events }, gone.signal, leave)
    }
    const response = events === undefined ? jsonResponse(reply) : new Response(null, eventsInit(reply))
    leave()
    return request.method === 'HEAD' ? new Response(null, response) : response
  } catch (error) {
    const failure = server.failed(incoming, error)
    leave()
    return jsonResponse(failure)
  }
}

function incomingOf(request: Request, signal: AbortSignal): Incoming {
  const { method, url, headers } = request
  const { host, pathname, search } = new URL(url)
  return {
    method,
    target: `${pathname}${search}`,
    // Servers derive the URL from this header. A request that was never on a network has only a URL.
    host: headers.get('host') ?? host,
    header: (name) => headers.get(name) ?? undefined,
    body: () => fetchBody(request),
    raw: request,
    signal,
    hasNext: false,
  }
}

function jsonResponse({ status, body, headers = {} }: HttpReply): Response {
  return new Response(`${clientJson(body)}\n`, {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      ...commonHeaders,
      ...headers,
    },
  })
}

/** A response whose bytes are produced as they are read. */
function bytesResponse(
  { status, headers = {}, bytes }: HttpReply & { readonly bytes: NonNullable<HttpReply['bytes']> },
  leave: () => void,
): Response {
  async function* readPieces(): AsyncGenerator<Uint8Array> {
    try {
      yield* bytes
    } finally {
      leave()
    }
  }
  const pieces = readPieces()
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const { done, value } = await pieces.next()
    if (done === true) controller.close()
    else controller.enqueue(value)
  }
  const cancel = async (): Promise<void> => void (await pieces.return(undefined))
  const body = new ReadableStream<Uint8Array>({ pull, cancel }, { highWaterMark: 0 })
  return new Response(body, { status, headers: { ...commonHeaders, ...headers } })
}

/**
 * A response with a stream of events. An event is taken from the feed only when the client reads, and a client that
 * does not read for `stallMs` is disconnected. `leave` aborts the signal, which releases everything.
 */
function eventResponse<Call extends ServedCall>(
  server: Server<Call>,
  { status, headers = {}, events }: HttpReply & { readonly events: AsyncIterable<HttpEvent> },
  signal: AbortSignal,
  leave: () => void,
): Response {
  const { clock, heartbeatMs, stallMs } = server.options
  // If the client has already disconnected, nothing would release what is created below.
  signal.throwIfAborted()
  const counted = server.openStream()
  const pieces = eventPieces(events, { clock, heartbeatMs, signal })
  let expected = (): void => {}
  onAbort(signal, () => {
    expected()
    counted[Symbol.dispose]()
    void silence(pieces.return(undefined))
  })
  const expectRead = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (signal.aborted) return
    const timeout = clock.setTimeout(() => {
      controller.error(new StatewardError('client_stalled', `nothing was read for ${stallMs} ms`, { stallMs }))
      leave()
    }, stallMs)
    expected = () => clock.clearTimeout(timeout)
  }
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    expected()
    try {
      const { done, value } = await pieces.next()
      if (done !== true) {
        controller.enqueue(value)
        return expectRead(controller)
      }
      controller.close()
    } catch (error) {
      controller.error(error)
    }
    leave()
  }
  const body = new ReadableStream<Uint8Array>({ start: expectRead, pull, cancel: leave }, { highWaterMark: 0 })
  return new Response(body, eventsInit({ status, headers }))
}

function eventsInit({ status, headers = {} }: HttpReply): ResponseInit {
  return { status, headers: { 'content-type': 'text/event-stream; charset=utf-8', ...commonHeaders, ...headers } }
}
