import { randomUUID } from 'node:crypto'
import type { ServerContext } from '@modelcontextprotocol/server'
import type { SerializedResults } from '../wire/serialized-results.js'
import type { DetailedTask } from '../wire/shapes.js'

/** What an answer over HTTP is to be beside what the SDK writes. */
interface Note {
  /** The client polls too fast, and may come back after so many milliseconds. */
  retryAfterMs?: number
  /** Bytes that belong where the mark stands as a JSON text. */
  insert?: { readonly mark: string; readonly bytes: Uint8Array<ArrayBuffer> }
}

/** Results below this many bytes are left to the SDK: there is nothing to gain. */
const fewestBytes = 16_384

/**
 * What methods say of their answers to the front that sends them: by requests that came through it, and are under way. The SDK
 * passes requests on as they are.
 */
export class HttpNotes {
  readonly #results: SerializedResults
  readonly #notes = new WeakMap<Request, Note>()

  constructor(results: SerializedResults) {
    this.#results = results
  }

  /** Answers by a handler, with what its methods have noted. */
  async answer(request: Request, handle: () => Promise<Response>): Promise<Response> {
    const note: Note = {}
    this.#notes.set(request, note)
    const response = await handle()
    const { retryAfterMs, insert } = note
    if (retryAfterMs === undefined && insert === undefined) return response
    const headers = new Headers(response.headers)
    if (retryAfterMs !== undefined) {
      headers.set('retry-after', String(Math.ceil(retryAfterMs / 1000)))
      return new Response(response.body, { status: 429, headers })
    }
    const text = await response.text()
    headers.delete('content-length')
    const quoted = `"${insert?.mark}"`
    const at = text.indexOf(quoted)
    const body = at < 0 || insert === undefined ? text : spliced(text, at, quoted.length, insert.bytes)
    return new Response(body, { status: response.status, headers })
  }

  /** The request is refused because it came too early; over other transports nothing comes of it. */
  noteDelay(ctx: ServerContext, retryAfterMs: number): void {
    const note = this.#noteOf(ctx)
    if (note !== undefined) note.retryAfterMs = retryAfterMs
  }

  /** The task as the SDK is to send it: a large result is put in as the bytes that it was serialized to once. */
  withoutResult(ctx: ServerContext, task: DetailedTask): Record<string, unknown> {
    const note = task.result === undefined ? undefined : this.#noteOf(ctx)
    // One mark for each request: whatever else it asks for is left to the SDK.
    if (note === undefined || note.insert !== undefined || task.result === undefined) return { ...task }
    const bytes = this.#results.bytesOf(task.result)
    if (bytes.length < fewestBytes) return { ...task }
    // Nobody can guess it, so no text of a task is taken for it.
    const mark = randomUUID()
    note.insert = { mark, bytes }
    return { ...task, result: mark }
  }

  #noteOf({ http }: ServerContext): Note | undefined {
    return http?.req === undefined ? undefined : this.#notes.get(http.req)
  }
}

function spliced(text: string, at: number, length: number, bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const parts = [encoder.encode(text.slice(0, at)), bytes, encoder.encode(text.slice(at + length))]
  return new ReadableStream({
    pull(controller) {
      const part = parts.shift()
      if (part === undefined) controller.close()
      else controller.enqueue(part)
    },
  })
}
