import type { McpHandlerRequestOptions, McpHttpHandler, ServerEvent } from '@modelcontextprotocol/server'
import { onAbort } from '../../base/abort.js'
import { silence } from '../../base/promises.js'
import type { Deadline } from '../../base/deadline-queue.js'
import { errorCodes } from '../wire/errors.js'
import {
  isTaskListen,
  openListen,
  withoutTasks,
  type CoreFilter,
  type ListenOptions,
  type ListenStream,
  type WireRequest,
} from './listen.js'
import type { DoorContext } from './request.js'

/** The Fetch function of an HTTP handler. */
export type FetchFace = McpHttpHandler['fetch']

/** Milliseconds of silence after which a comment is sent to keep a stream alive. */
const heartbeatMs = 15_000
/** The longest body that is inspected. It is the limit of the SDK, which refuses longer ones. */
const mostListenBytes = 4 * 2 ** 20
const encoder = new TextEncoder()

/** Answers requests to listen to tasks. All other requests go to the handler unchanged. */
export function fetchFront(
  handler: Pick<McpHttpHandler, 'fetch' | 'bus'>,
  door: DoorContext,
  options: ListenOptions,
): FetchFace {
  return async (request, given = {}) => {
    const message = await listenIn(request, given)
    if (message === undefined) return door.notes.answer(request, () => handler.fetch(request, given))
    // The SDK decides whether the request is valid, and which of the other notifications it serves.
    const answered = await handler.fetch(request, { ...given, parsedBody: withoutTasks(message) })
    const core = await acknowledgedIn(answered)
    if (core === undefined) return answered
    const opened = await openListen(door, options, message, given.authInfo, core)
    if ('error' in opened) {
      const { id = null } = message
      const status = opened.error.code === errorCodes.missingCapability ? 400 : 200
      return Response.json({ jsonrpc: '2.0', id, error: opened.error }, { status })
    }
    const { stream } = opened
    const hasCore = Object.keys(core).length > 0
    const leave = hasCore ? handler.bus.subscribe((event) => tellCore(stream, core, event)) : undefined
    return streamed(stream, options, request.signal, leave)
  }
}

/** The message of a request to listen to tasks. Does not read the body if the header indicates another method. */
async function listenIn(request: Request, { parsedBody }: McpHandlerRequestOptions): Promise<WireRequest | undefined> {
  // If the header is missing or names another method, the SDK refuses the request.
  if (request.method !== 'POST' || request.headers.get('mcp-method') !== 'subscriptions/listen') return undefined
  if (parsedBody !== undefined) return isTaskListen(parsedBody) ? parsedBody : undefined
  if (Number(request.headers.get('content-length') ?? 0) > mostListenBytes || request.bodyUsed) return undefined
  const text = await textOf(request.clone())
  if (text === undefined) return undefined
  try {
    const body: unknown = JSON.parse(text)
    return isTaskListen(body) ? body : undefined
  } catch {
    // The handler refuses invalid JSON.
    return undefined
  }
}

/** The body as text. `undefined` if it is too long or incomplete. */
async function textOf({ body }: Request): Promise<string | undefined> {
  if (body === null) return undefined
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let [text, bytes] = ['', 0]
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return text + decoder.decode()
      bytes += value.byteLength
      if (bytes > mostListenBytes) break
      text += decoder.decode(value, { stream: true })
    }
  } catch {
    // The handler will report the broken body.
    return undefined
  }
  // Not awaited: it resolves only when the other copy of the body is read or cancelled.
  silence(reader.cancel())
  return undefined
}

/**
 * The other notifications that the SDK has acknowledged on its own stream, which is then dropped. `undefined` if it has
 * opened none.
 */
async function acknowledgedIn({ body, headers }: Response): Promise<CoreFilter | undefined> {
  if (body === null || headers.get('content-type') !== 'text/event-stream') return undefined
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  try {
    while (!text.includes('\n\n')) {
      const { done, value } = await reader.read()
      if (done) break
      text += value
    }
  } finally {
    silence(reader.cancel())
  }
  const line = text.split('\n').find((one) => one.startsWith('data: ')) ?? 'data: {}'
  const { params } = JSON.parse(line.slice(6)) as { readonly params?: { readonly notifications?: CoreFilter } }
  return params?.notifications
}

/** A stream that is read at the reader's pace. */
function streamed(
  stream: ListenStream,
  { deadlines }: ListenOptions,
  signal: AbortSignal,
  leave: (() => void) | undefined,
): Response {
  let heartbeat: Deadline | undefined
  let isOver = false
  const close = (): void => {
    if (isOver) return
    isOver = true
    heartbeat?.[Symbol.dispose]()
    leave?.()
    forget()
    stream[Symbol.dispose]()
  }
  const forget = onAbort(signal, close)
  // The client may have left before the stream was opened.
  if (signal.aborted) close()
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const beat = (): void => {
          // Nothing is queued for a reader that does not read.
          if ((controller.desiredSize ?? 0) > 0) controller.enqueue(heartbeatBytes)
          heartbeat = deadlines.after(heartbeatMs, beat)
        }
        if (!isOver) heartbeat = deadlines.after(heartbeatMs, beat)
        const message = await stream.next()
        heartbeat?.[Symbol.dispose]()
        if (message !== undefined && !isOver)
          return controller.enqueue(encoder.encode(`event: message\ndata: ${JSON.stringify(message)}\n\n`))
        close()
        controller.close()
      },
      cancel: close,
    },
    { highWaterMark: 1 },
  )
  const headers = {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  }
  return new Response(body, { status: 200, headers })
}

const heartbeatBytes = encoder.encode(': keepalive\n\n')

/** Forwards a change that the filter names. */
function tellCore(stream: ListenStream, core: CoreFilter, event: ServerEvent): void {
  const { kind, params } = event
  switch (kind) {
    case 'tools_list_changed':
      return core['toolsListChanged'] === true ? tellOf(stream, 'notifications/tools/list_changed', params) : undefined
    case 'prompts_list_changed':
      return core['promptsListChanged'] === true
        ? tellOf(stream, 'notifications/prompts/list_changed', params)
        : undefined
    case 'resources_list_changed':
      return core['resourcesListChanged'] === true
        ? tellOf(stream, 'notifications/resources/list_changed', params)
        : undefined
    case 'resource_updated': {
      const uris = core['resourceSubscriptions'] as readonly string[] | undefined
      if (uris?.includes(event.uri) === true)
        stream.tell(`resource ${event.uri}`, 'notifications/resources/updated', { ...params, uri: event.uri })
    }
  }
}

function tellOf(stream: ListenStream, method: string, params: ServerEvent['params']): void {
  stream.tell(method, method, params)
}
