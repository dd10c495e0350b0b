import type { IncomingMessage } from 'node:http'
import { InvalidInputError, StatewardError } from 'stateward'
import * as v from 'valibot'

const subject = 'request body'

/**
 * Reads a JSON body of at most `maxBytes` and decodes it by schema. Throws `unsupported_media_type`,
 * `body_too_large`, or `invalid_input` that names the first offending field.
 */
export async function readBody<Schema extends v.GenericSchema>(
  request: IncomingMessage,
  schema: Schema,
  maxBytes: number,
): Promise<v.InferOutput<Schema>> {
  // A web page can send other types to 127.0.0.1 without asking; for this one the browser asks first, and is refused.
  const mediaType = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json') {
    throw new StatewardError('unsupported_media_type', 'send application/json', { mediaType: mediaType ?? null })
  }
  const value = parse(await readBytes(request, maxBytes))
  // To valibot a list is an object too.
  if (Array.isArray(value)) throw new InvalidInputError({ subject, field: '$', reason: 'a list instead of an object' })
  return decode(schema, value, subject)
}

/** Decodes a value by schema; throws `invalid_input` that names the first offending field. */
export function decode<Schema extends v.GenericSchema>(
  schema: Schema,
  value: unknown,
  subjectOfValue: string,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value, { abortEarly: true })
  if (result.success) return result.output
  const [issue] = result.issues
  throw new InvalidInputError({ subject: subjectOfValue, field: v.getDotPath(issue) ?? '$', reason: issue.message })
}

async function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  // Not destroyed on the way out: the connection is still needed for the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBytes) {
      throw new StatewardError('body_too_large', `the body exceeds ${maxBytes} bytes`, { limit: maxBytes })
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new InvalidInputError({ subject, field: '$', reason: `not JSON: ${(cause as Error).message}` }, { cause })
  }
}
