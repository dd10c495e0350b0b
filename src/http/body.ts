import type { IncomingMessage } from 'node:http'
import { InvalidInputError, isList, messageOf, StatewardError } from '../base/errors.js'
import { checkValue, type OutputOf, type Schema } from '../work/values.js'

const subject = 'request body'

/** The body of a request, before it is read. */
export interface BodySource {
  readonly contentType: string | undefined
  /** The bytes as they arrive; absent if there are none. */
  readonly chunks: AsyncIterable<Uint8Array> | undefined
  /** The body as parsed by a framework that has already read the bytes. */
  readonly parsed?: unknown
}

/**
 * Reads a JSON object of at most `maxBytes` and checks it by schema. Raises `unsupported_media_type`, `body_too_large`,
 * or `invalid_input` naming the first invalid field.
 */
export async function readJson<Checked extends Schema>(
  source: BodySource,
  schema: Checked,
  maxBytes: number,
): Promise<OutputOf<Checked>> {
  // A web page can send other media types to another host without asking. For JSON the browser sends a preflight
  // request first, which is refused.
  const mediaType = source.contentType?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json') {
    throw new StatewardError('unsupported_media_type', 'send application/json', { mediaType: mediaType ?? null })
  }
  const value = source.parsed ?? parse(await readBytes(source.chunks, maxBytes))
  if (isList(value)) throw new InvalidInputError({ subject, field: '$', reason: 'a list instead of an object' })
  return checkValue(schema, value, subject)
}

/** The body of a Node request. */
export function nodeBody(request: IncomingMessage): BodySource {
  const contentType = request.headers['content-type']
  // Express and Fastify put the parsed body here.
  const { body } = request as { readonly body?: unknown }
  const isRead = request.readableEnded || request.readableDidRead
  if (isRead && body !== undefined) return { contentType, chunks: undefined, parsed: body }
  // Do not destroy the request when reading stops early: the connection is still needed for the reply.
  return { contentType, chunks: request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array> }
}

/** The body of a Fetch request. */
export function fetchBody({ headers, body, bodyUsed }: Request): BodySource {
  const contentType = headers.get('content-type') ?? undefined
  return { contentType, chunks: bodyUsed || body === null ? undefined : chunksOf(body) }
}

async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    // A body that is too large is not read to its end.
    await reader.cancel().catch(() => {})
  }
}

async function readBytes(chunks: AsyncIterable<Uint8Array> | undefined, maxBytes: number): Promise<Buffer> {
  const read: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks ?? []) {
    length += chunk.length
    if (length > maxBytes) {
      throw new StatewardError('body_too_large', `the body exceeds ${maxBytes} bytes`, { limit: maxBytes })
    }
    read.push(chunk)
  }
  return Buffer.concat(read)
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new InvalidInputError({ subject, field: '$', reason: `not JSON: ${messageOf(cause)}` }, { cause })
  }
}
