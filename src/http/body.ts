import type { IncomingMessage } from 'node:http'
import { InvalidInputError, isList, messageOf, StatewardError } from '../base/errors.js'
import { checkValue, type OutputOf, type Schema } from '../work/values.js'

const subject = 'request body'

/** Where a body comes from. */
export interface BodySource {
  readonly contentType: string | undefined
  /** The bytes as they come; absent for none. */
  readonly chunks: AsyncIterable<Uint8Array> | undefined
  /** What a framework has parsed already, in place of the bytes that it has read. */
  readonly parsed?: unknown
}

/**
 * Reads a JSON object of at most `maxBytes` and checks it by schema. Raises `unsupported_media_type`, `body_too_large`, or
 * `invalid_input` that names the first offending field.
 */
export async function readJson<Checked extends Schema>(
  source: BodySource,
  schema: Checked,
  maxBytes: number,
): Promise<OutputOf<Checked>> {
  // A web page can send other types to another host without asking; for this one the browser asks first, and is refused.
  const mediaType = source.contentType?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json') {
    throw new StatewardError('unsupported_media_type', 'send application/json', { mediaType: mediaType ?? null })
  }
  const value = source.parsed ?? parse(await readBytes(source.chunks, maxBytes))
  if (isList(value)) throw new InvalidInputError({ subject, field: '$', reason: 'a list instead of an object' })
  return checkValue(schema, value, subject)
}

/** The body of a request of Node. */
export function nodeBody(request: IncomingMessage): BodySource {
  const contentType = request.headers['content-type']
  // Express and Fastify put there what their parsers have read.
  const { body } = request as { readonly body?: unknown }
  const isRead = request.readableEnded || request.readableDidRead
  if (isRead && body !== undefined) return { contentType, chunks: undefined, parsed: body }
  // Not destroyed on the way out: the connection is still needed for the answer.
  return { contentType, chunks: request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array> }
}

/** The body of a request of Fetch. */
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
    // What is too long is not read to its end.
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
