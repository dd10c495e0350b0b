import { randomUUID } from 'node:crypto'
import type { ServerContext } from '@modelcontextprotocol/server'
import type { SerializedResults } from '../wire/serialized-results.js'
import type { DetailedTask } from '../wire/shapes.js'

/** What to change in an HTTP answer written by the SDK. */
interface Note {
  /** Set if the client polls too fast: milliseconds after which it may try again. */
  retryAfterMs?: number
  /** Bytes to insert in place of the JSON text `mark`. */
  insert?: { readonly mark: string; readonly bytes: Uint8Array<ArrayBuffer> }
}

/** Smaller results are left to the SDK: nothing would be gained. */
const fewestBytes = 16_384

/**
 * Passes notes from methods to the HTTP front that sends their answers, by request in progress. This works because the
 * SDK passes on the request object unchanged.
 */
export class HttpNotes {
  readonly #results: SerializedResults
  readonly #notes = new WeakMap<Request, Note>()

  constructor(results: SerializedResults) {
    this.#results = results
  }

  /** Answers with a handler and applies the notes of its methods. */
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

  /** Notes that the request is refused because it came too early. No effect on other transports. */
  noteDelay(ctx: ServerContext, retryAfterMs: number): void {
    const note = this.#noteOf(ctx)
    if (note !== undefined) note.retryAfterMs = retryAfterMs
  }

  /**
   * The task for the SDK to send. A large result is replaced by a mark, for which its bytes, serialized only once, are
   * inserted later.
   */
  withoutResult(ctx: ServerContext, task: DetailedTask): Record<string, unknown> {
    const note = task.result === undefined ? undefined : this.#noteOf(ctx)
    // One mark per HTTP request. Further results of the same request are written by the SDK.
    if (note === undefined || note.insert !== undefined || task.result === undefined) return { ...task }
    const bytes = this.#results.bytesOf(task.result)
    if (bytes.length < fewestBytes) return { ...task }
    // It cannot be guessed, so no text in a task can be mistaken for it.
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
