import { request } from 'node:http'
import { expect } from 'vitest'
import { decodeServerMessage } from '../../../src/inspect/stream/decode-protocol.js'
import type { ServerMessage, StreamEntry, View, ViewRequest } from '../../../src/inspect/stream/protocol.js'

/** Asks with any headers, which `fetch` does not. */
export function ask(
  url: URL,
  {
    method = 'GET',
    headers = {},
    body = '',
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (piece: string) => (text += piece))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** A view of an inspector. */
export async function view<Name extends View['view']>(
  url: URL,
  wanted: ViewRequest & { view: Name },
): Promise<Extract<View, { view: Name }>> {
  const { status, text } = await ask(new URL('query', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(wanted),
  })
  expect({ status, text: status === 200 ? '' : text }).toEqual({ status: 200, text: '' })
  return JSON.parse(text) as Extract<View, { view: Name }>
}

/** Follows the stream until told otherwise. */
export class Following implements AsyncDisposable {
  readonly messages: ServerMessage[] = []
  lastId = ''
  readonly #abort = new AbortController()
  readonly #done: Promise<void>
  #wake = (): void => {}

  constructor(url: URL, after?: string) {
    this.#done = this.#read(new URL('events', url), after)
  }

  get entries(): StreamEntry[] {
    return this.messages.flatMap((message) => (message.type === 'entries' ? message.entries : []))
  }

  async until(holds: (following: this) => boolean): Promise<void> {
    while (!holds(this)) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
    await this.#done
  }

  async #read(url: URL, after: string | undefined): Promise<void> {
    const headers: Record<string, string> = after === undefined ? {} : { 'last-event-id': after }
    try {
      const response = await fetch(url, { signal: this.#abort.signal, headers })
      let rest = ''
      const decoder = new TextDecoder()
      for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
        const blocks = (rest + decoder.decode(piece, { stream: true })).split('\n\n')
        rest = blocks.pop() ?? ''
        for (const block of blocks) this.#take(block)
        this.#wake()
      }
    } catch (fault) {
      if (!this.#abort.signal.aborted) throw fault
    }
  }

  #take(block: string): void {
    const [, id] = /^id: (.*)$/m.exec(block) ?? []
    const [, data] = /^data: (.*)$/m.exec(block) ?? []
    if (id !== undefined) this.lastId = id
    if (data !== undefined) this.messages.push(decodeServerMessage(JSON.parse(data)))
  }
}
