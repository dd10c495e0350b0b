import type { McpHandlerRequestOptions, McpHttpHandler, ServerEvent } from '@modelcontextprotocol/server'
import { onAbort } from '../../base/abort.js'
import type { Deadline } from '../../base/deadline-queue.js'
import { modernVersion } from '../wire/names.js'
import type { WireError } from '../wire/errors.js'
import {
  isTaskListen,
  openListen,
  type CoreFilter,
  type ListenOptions,
  type ListenStream,
  type WireRequest,
} from './listen.js'
import type { DoorContext } from './request.js'

/** The face of a handler that serves HTTP. */
export type FetchFace = McpHttpHandler['fetch']

/** Milliseconds of silence after which a comment shows that a stream is alive. */
const heartbeatMs = 15_000
/** The longest body that is looked into; a longer one is no request to listen. */
const mostListenBytes = 1_000_000

/** Answers requests to listen to tasks; everything else goes on to the handler as it is. */
export function fetchFront(
  handler: Pick<McpHttpHandler, 'fetch' | 'bus'>,
  door: DoorContext,
  options: ListenOptions,
): FetchFace {
  return async (request, given = {}) => {
    const message = await listenIn(request, given)
    if (message === undefined) return door.notes.answer(request, () => handler.fetch(request, given))
    const mismatch = headerFault(request)
    if (mismatch !== undefined) return refusal(message, mismatch, 400)
    const opened = await openListen(door, options, message, given.authInfo, honoured)
    if ('error' in opened) return refusal(message, opened.error, opened.error.code === -32021 ? 400 : 200)
    const { stream } = opened
    const core = coreOf(message)
    const leave = handler.bus.subscribe((event) => tellCore(stream, core, event))
    return streamed(stream, options, request.signal, leave)
  }
}

/** The message of a request that asks to listen to tasks. Reads no body that the header says is something else. */
async function listenIn(request: Request, { parsedBody }: McpHandlerRequestOptions): Promise<WireRequest | undefined> {
  if (request.method !== 'POST') return undefined
  if (parsedBody !== undefined) return isTaskListen(parsedBody) ? parsedBody : undefined
  const named = request.headers.get('mcp-method')
  if (named !== null && named !== 'subscriptions/listen') return undefined
  if (Number(request.headers.get('content-length') ?? 0) > mostListenBytes) return undefined
  try {
    const body: unknown = await request.clone().json()
    return isTaskListen(body) ? body : undefined
  } catch {
    // What is no JSON the handler refuses in its own words.
    return undefined
  }
}

/** The SDK checks the headers of what it answers; this stream passes it by. */
function headerFault(request: Request): WireError | undefined {
  const version = request.headers.get('mcp-protocol-version')
  if (version !== modernVersion)
    return { code: -32020, message: `Header mismatch: MCP-Protocol-Version is ${version ?? 'missing'}` }
  const method = request.headers.get('mcp-method')
  if (method === 'subscriptions/listen') return undefined
  return { code: -32020, message: `Header mismatch: Mcp-Method is ${method ?? 'missing'}` }
}

function refusal({ id = null }: WireRequest, error: WireError, status: number): Response {
  return Response.json({ jsonrpc: '2.0', id, error }, { status })
}

/** A stream whose reader sets the pace. */
function streamed(
  stream: ListenStream,
  { deadlines }: ListenOptions,
  signal: AbortSignal,
  leave: () => void,
): Response {
  const encoder = new TextEncoder()
  let heartbeat: Deadline | undefined
  let isOver = false
  const forget = onAbort(signal, () => close())
  const close = (): void => {
    if (isOver) return
    isOver = true
    heartbeat?.[Symbol.dispose]()
    leave()
    forget()
    stream[Symbol.dispose]()
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const beat = (): void => {
          controller.enqueue(encoder.encode(': keepalive\n\n'))
          heartbeat = deadlines.after(heartbeatMs, beat)
        }
        heartbeat = deadlines.after(heartbeatMs, beat)
        const message = await stream.next()
        heartbeat[Symbol.dispose]()
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

/** Which kinds of change a filter names beside tasks. */
const coreFields = ['toolsListChanged', 'promptsListChanged', 'resourcesListChanged'] as const

function honoured(filter: CoreFilter): CoreFilter {
  const taken: Record<string, unknown> = {}
  for (const field of coreFields) if (filter[field] === true) taken[field] = true
  const uris = filter['resourceSubscriptions']
  if (Array.isArray(uris) && uris.length > 0)
    taken['resourceSubscriptions'] = uris.filter((uri) => typeof uri === 'string')
  return taken
}

function coreOf({ params }: WireRequest): CoreFilter {
  return honoured((params as { readonly notifications: CoreFilter }).notifications)
}

function tellCore(stream: ListenStream, core: CoreFilter, event: ServerEvent): void {
  const { kind, params } = event
  switch (kind) {
    case 'tools_list_changed':
      return core['toolsListChanged'] === true ? stream.tell('notifications/tools/list_changed', params) : undefined
    case 'prompts_list_changed':
      return core['promptsListChanged'] === true ? stream.tell('notifications/prompts/list_changed', params) : undefined
    case 'resources_list_changed':
      return core['resourcesListChanged'] === true
        ? stream.tell('notifications/resources/list_changed', params)
        : undefined
    case 'resource_updated': {
      const uris = core['resourceSubscriptions'] as readonly string[] | undefined
      if (uris?.includes(event.uri) === true)
        stream.tell('notifications/resources/updated', { ...params, uri: event.uri })
    }
  }
}
