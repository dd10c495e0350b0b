import { StatewardError, messageOf } from '../../base/errors.js'
import { silence } from '../../base/promises.js'
import { decodeServerMessage } from '../stream/decode-protocol.js'
import type { ActionAnswer, ActionRequest, View, ViewRequest } from '../stream/protocol.js'
import type { InspectorSource, SourceMessage } from './source.js'

/** The maximum length of a message in UTF-16 units; a sender of longer ones is not an inspector. */
const longestMessage = 16 * 1024 * 1024

/** Raised with code `inspector_unreachable` when an address does not answer like an inspector. */
export class InspectorUnreachableError extends StatewardError<'inspector_unreachable', { readonly url: string }> {
  override readonly name = 'InspectorUnreachableError'
}

/** The inspector of another process, by its address. Its permissions apply here too. */
export class RemoteSource implements InspectorSource {
  readonly #url: URL

  private constructor(url: URL) {
    this.#url = url
  }

  /** Connects to an inspector. Rejects with `inspector_unreachable` if it does not answer. */
  static async open(address: string, signal: AbortSignal): Promise<RemoteSource> {
    const url = new URL(address)
    if (!url.pathname.endsWith('/')) url.pathname += '/'
    const source = new RemoteSource(url)
    const abort = new AbortController()
    const forget = (): void => abort.abort()
    signal.addEventListener('abort', forget, { once: true })
    try {
      for await (const { type } of source.follow(undefined, abort.signal)) if (type === 'hello') return source
      throw source.#unreachable('it says nothing')
    } finally {
      signal.removeEventListener('abort', forget)
      abort.abort()
    }
  }

  async *follow(after: string | undefined, signal: AbortSignal): AsyncGenerator<SourceMessage> {
    const response = await this.#ask('events', {
      signal,
      headers: { accept: 'text/event-stream', ...(after !== undefined && { 'last-event-id': after }) },
    })
    const decoder = new TextDecoder()
    let text = ''
    try {
      for await (const piece of piecesOf(response)) {
        text += decoder.decode(piece, { stream: true })
        if (text.length > longestMessage) throw this.#unreachable('a message is too long')
        for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n')) {
          const message = messageIn(text.slice(0, end))
          text = text.slice(end + 2)
          if (message !== undefined) yield message
        }
      }
    } catch (fault) {
      if (signal.aborted) return
      throw StatewardError.is(fault) ? fault : this.#unreachable(messageOf(fault), fault)
    }
  }

  async view(request: ViewRequest): Promise<View> {
    return (await this.#post('query', request)) as View
  }

  async act(request: ActionRequest): Promise<ActionAnswer> {
    return (await this.#post('action', request)) as ActionAnswer
  }

  async *recording(): AsyncGenerator<Uint8Array> {
    yield* piecesOf(await this.#ask('recording', {}))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }

  async #post(path: string, body: object): Promise<unknown> {
    const headers = { 'content-type': 'application/json' }
    return (await this.#ask(path, { method: 'POST', headers, body: JSON.stringify(body) })).json()
  }

  async #ask(path: string, init: RequestInit): Promise<Response> {
    let response: Response
    try {
      response = await fetch(new URL(path, this.#url), { redirect: 'error', ...init })
    } catch (fault) {
      // What `fetch` says is only that it failed.
      const { cause = fault } = fault as { readonly cause?: unknown }
      throw this.#unreachable(messageOf(cause), fault)
    }
    if (response.ok) return response
    const refusal: unknown = await silence(response.json()).catch(() => undefined)
    const { code, message, data } = (refusal ?? {}) as { code?: unknown; message?: unknown; data?: unknown }
    if (typeof code === 'string' && typeof message === 'string') throw new StatewardError(code, message, data ?? {})
    throw this.#unreachable(`it answers ${response.status}`)
  }

  #unreachable(reason: string, cause?: unknown): InspectorUnreachableError {
    // The address without the secret.
    const { origin } = this.#url
    const text = `there is no inspector at ${origin}: ${reason}`
    return new InspectorUnreachableError('inspector_unreachable', text, { url: origin }, { cause })
  }
}

async function* piecesOf({ body }: Response): AsyncGenerator<Uint8Array> {
  if (body !== null) yield* body as unknown as AsyncIterable<Uint8Array>
}

/** Messages of another process are checked before they are passed on. */
function messageIn(block: string): SourceMessage | undefined {
  const data: string[] = []
  let id: string | undefined
  for (const line of block.split('\n')) {
    if (line.startsWith('data:')) data.push(line.slice('data:'.length).trimStart())
    else if (line.startsWith('id:')) id = line.slice('id:'.length).trim()
  }
  if (data.length === 0) return undefined
  const json = data.join('\n')
  const { type } = decodeServerMessage(JSON.parse(json))
  return { type, json, ...(id !== undefined && { id }) }
}
