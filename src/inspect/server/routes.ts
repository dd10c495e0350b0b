import * as v from 'valibot'
import { StatewardError } from '../../base/errors.js'
import type { HttpEvent, HttpReply, ServedCall, ServedRoute } from '../../http/route.js'
import type { InspectorSource } from '../sources/source.js'
import { decodeActionRequest, decodeViewRequest } from '../stream/decode-protocol.js'
import { readPageFiles, type PageFile } from './page-files.js'

/** A request for the inspector. */
export interface InspectorCall extends ServedCall {
  readonly source: InspectorSource
}

/** The page may run its own script, use its own style, and connect to its own server, whatever text it shows. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

/** Headers of every answer: the secret in the address must not leak, and the page must not be framed. */
export const inspectorHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': policy,
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'x-robots-tag': 'noindex',
}

/** Any object; the decoder of the protocol checks its content. */
const anyObject = v.record(v.string(), v.unknown())

const route = (
  method: 'GET' | 'POST',
  path: string,
  handle: (call: InspectorCall) => HttpReply | Promise<HttpReply>,
): ServedRoute<InspectorCall> => ({
  method,
  path: `/:token${path}`,
  handle: async (call) => {
    const reply = await handle(call)
    return { ...reply, headers: { ...inspectorHeaders, ...reply.headers } }
  },
})

/** The routes of the inspector. The first part of each path is the secret. */
export const inspectorRoutes: readonly ServedRoute<InspectorCall>[] = [
  // All URLs on the page are relative to its address, which must therefore end in a slash.
  route('GET', '', ({ params }) => ({ status: 308, body: {}, headers: { location: `${params['token']}/` } })),
  route('GET', '/', (call) => fileReply(call, 'index.html')),
  route('GET', '/events', (call) => {
    const after = call.header('last-event-id') ?? call.query.get('after') ?? undefined
    return { status: 200, events: eventsOf(call.source, after, call.signal) }
  }),
  route('POST', '/query', async (call) => {
    const request = decodeViewRequest(await call.json(anyObject))
    return { status: 200, body: await call.source.view(request) }
  }),
  route('POST', '/action', async (call) => {
    const request = decodeActionRequest(await call.json(anyObject))
    return { status: 200, body: await call.source.act(request) }
  }),
  route('GET', '/recording', ({ source }) => ({
    status: 200,
    bytes: source.recording(),
    headers: {
      'content-type': 'application/x-ndjson; charset=utf-8',
      'content-disposition': 'attachment; filename="stateward-recording.jsonl"',
    },
  })),
  route('GET', '/:file', (call) => fileReply(call, call.params['file'] ?? '')),
]

async function* eventsOf(
  source: InspectorSource,
  after: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<HttpEvent> {
  for await (const { type, id, json } of source.follow(after, signal)) {
    yield { event: type, data: undefined, json, ...(id !== undefined && { id }) }
  }
}

let files: ReadonlyMap<string, PageFile> | undefined

function fileReply(call: InspectorCall, name: string): HttpReply {
  files ??= readPageFiles()
  if (files === undefined) {
    throw new StatewardError('not_found', 'the page is not there: build the package first', { file: name })
  }
  const file = files.get(name)
  if (file === undefined) throw new StatewardError('not_found', `no such file: ${name.slice(0, 64)}`, {})
  const { type, bytes, etag } = file
  const headers = { 'content-type': type, etag, 'cache-control': 'no-cache' }
  if (call.header('if-none-match') === etag) return { status: 304, bytes: [], headers }
  return { status: 200, bytes: [bytes], headers: { ...headers, 'content-length': String(bytes.length) } }
}
