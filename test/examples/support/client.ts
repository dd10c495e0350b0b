import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'

/** An answer as the client got it. */
export interface Answer {
  readonly status: number
  // Whatever JSON the service sent; tests compare it with what they expect.
  readonly body: any // oxlint-disable-line typescript/no-explicit-any
  readonly headers: IncomingMessage['headers']
}

/** What is sent: `json` is encoded, `text` goes as it is. */
export interface Question {
  readonly json?: unknown
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

/** Asks and waits for the whole answer, on a connection of its own. */
export async function ask(
  method: string,
  url: string,
  { json, text, headers, signal }: Question = {},
): Promise<Answer> {
  const body = text ?? (json === undefined ? undefined : JSON.stringify(json))
  const asked = request(url, {
    method,
    agent: false,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(signal !== undefined && { signal }),
  })
  asked.end(body)
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  let received = ''
  for await (const chunk of response.setEncoding('utf8')) received += chunk
  return { status: response.statusCode ?? 0, body: JSON.parse(received), headers: response.headers }
}

/** Sends bytes as they are on a connection of its own and returns all that comes back until the service hangs up. */
export async function askRaw(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.write(text)
  let received = ''
  for await (const chunk of socket.setEncoding('utf8')) received += chunk
  return received
}

/** One Server-Sent Event. */
export interface ServerSentEvent {
  readonly id: string | undefined
  readonly event: string
  readonly data: any // oxlint-disable-line typescript/no-explicit-any
}

/** An open stream of events. */
export interface EventStream {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly events: readonly ServerSentEvent[]
  /** How many comments have come. */
  readonly comments: number
  /** Resolves once the condition holds; it is looked at after each event. */
  until(isEnough: () => boolean): Promise<void>
  /** Resolves when the service has ended the stream, and rejects when it broke off. */
  readonly ended: Promise<unknown>
  pause(): void
  resume(): void
  /** Goes away as a crashed client does: nothing is read any more. */
  destroy(): void
}

/** Opens a stream, reading on after `lastEventId`; the client goes when the test is over, if it has not gone before. */
export async function openStream(url: string, lastEventId?: string, headers: object = {}): Promise<EventStream> {
  const asked = request(url, {
    agent: false,
    headers: { ...headers, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) },
  })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  asked.on('error', () => {})
  onTestFinished(() => void response.destroy())
  const events: ServerSentEvent[] = []
  const ended = once(response, 'end')
  ended.catch(() => {})
  let comments = 0
  let rest = ''
  let check = (): void => {}
  response.setEncoding('utf8').on('data', (chunk: string) => {
    const frames = (rest + chunk).split('\n\n')
    rest = frames.pop() ?? ''
    for (const frame of frames) {
      if (response.destroyed) return
      if (frame.startsWith(':')) comments += 1
      else events.push(parseFrame(frame))
      check()
    }
  })
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    events,
    get comments() {
      return comments
    },
    ended,
    until: (isEnough) =>
      new Promise((resolve) => {
        check = () => {
          if (isEnough()) resolve()
        }
        check()
      }),
    pause: () => response.pause(),
    resume: () => response.resume(),
    destroy: () => response.destroy(),
  }
}

function parseFrame(frame: string): ServerSentEvent {
  const fields = new Map(
    frame.split('\n').map((line) => {
      const colon = line.indexOf(': ')
      return [line.slice(0, colon), line.slice(colon + 2)] as const
    }),
  )
  return {
    id: fields.get('id'),
    event: fields.get('event') ?? 'message',
    data: JSON.parse(fields.get('data') ?? 'null'),
  }
}
