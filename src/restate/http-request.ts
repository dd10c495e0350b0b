import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { onAbort } from '../base/abort.js'

/** Milliseconds for which an unused connection is kept. */
const idleMs = 4000
/** Milliseconds within which a connection must be made. */
const connectMs = 10_000
/** Milliseconds for which a request may be silent. */
const silentMs = 300_000

/** The message of the error of a connection that was not made in time. */
export const connectTimeout = 'Connect Timeout'

/** A request of the engine's client. */
export interface HttpRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal?: AbortSignal
}

/** What the engine's client reads of a response. */
export interface HttpResponse {
  readonly ok: boolean
  readonly status: number
  arrayBuffer(): Promise<Uint8Array>
  text(): Promise<string>
}

const options = { keepAlive: true, timeout: idleMs }
const http = { request: requestHttp, agent: new HttpAgent(options) }
const https = { request: requestHttps, agent: new HttpsAgent(options) }

/**
 * Takes the place of `fetch` in the engine's client, which reads bodies as a whole: without streams a request needs a
 * third of the processor time. Like `fetch` it gives up a connection that is silent for five minutes. Rejects with the
 * error of the connection, and with the signal's reason.
 */
export function requestOverHttp(
  url: string,
  { method = 'GET', headers = {}, body, signal }: HttpRequest,
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const { request, agent } = url.startsWith('https:') ? https : http
    const sent = request(url, { method, headers, agent })
    const fail = (error: unknown): void => reject(signal?.aborted === true ? signal.reason : error)
    const forget = onAbort(signal, () => sent.destroy())
    const connecting = setTimeout(() => sent.destroy(new Error(`${connectTimeout} of ${connectMs} ms`)), connectMs)
    sent.once('socket', (socket) => {
      if (socket.connecting) socket.once('connect', () => clearTimeout(connecting))
      else clearTimeout(connecting)
    })
    sent.setTimeout(silentMs, () => sent.destroy(new Error(`nothing came for ${silentMs} ms`)))
    sent.once('close', () => {
      clearTimeout(connecting)
      forget()
      // The body may still be on its way.
      if (!isAnswered) fail(closed())
    })
    sent.on('error', fail)
    let isAnswered = false
    sent.once('response', (response) => {
      isAnswered = true
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('error', fail)
      response.once('close', () => fail(closed()))
      response.once('end', () => resolve(responseOf(response, Buffer.concat(parts))))
    })
    sent.end(body)
  })
}

function closed(): Error {
  return new Error('the connection was closed')
}

function responseOf({ statusCode: status = 0 }: IncomingMessage, body: Buffer): HttpResponse {
  return {
    ok: status >= 200 && status < 300,
    status,
    arrayBuffer: () => Promise.resolve(body),
    text: () => Promise.resolve(body.toString()),
  }
}
