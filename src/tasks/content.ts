import { createHash } from 'node:crypto'
import { readable } from '../base/decode.js'
import { InvalidInputError, messageOf } from '../base/errors.js'
import { canonicalText, type JsonValue } from '../base/json.js'
import { decodeValue, encodeValue } from '../work/values.js'
import { decodeBytes, type Base64, type BytesInput } from './bytes.js'

/** Bytes with what they mean: a payload, or what a handler has returned. */
export interface Content {
  readonly bytes: BytesInput
  /** Absent where nothing is known about them. */
  readonly contentType?: string
}

/** Text as UTF-8, bytes as they are, and any other value as the JSON text that `encodeValue` makes. */
export const contentTypes = {
  text: 'text/plain',
  bytes: 'application/octet-stream',
  value: 'application/vnd.stateward.value+json',
  json: 'application/json',
} as const

/**
 * The content of a value, which {@link valueOf} turns into the same value again; none for `undefined`. Raises
 * `invalid_input` naming the path of the first part that JSON would change on the way.
 */
export function contentOf(value: unknown, subject: string, field?: string): Content | undefined {
  // Text that has no form in UTF-8, with half a surrogate pair in it, has one in JSON.
  if (typeof value === 'string' && !halfOfPair.test(value))
    return { bytes: Buffer.from(value), contentType: contentTypes.text }
  if (isBytes(value)) return { bytes: value, contentType: contentTypes.bytes }
  const encoded = encodeValue(value, subject, field)
  return encoded === undefined ? undefined : encodedContent(encoded)
}

/** A surrogate that stands alone. */
const halfOfPair = /\p{Surrogate}/u

/** Whether it is bytes. A proxy whose target is gone is none, and cannot be asked. */
export function isBytes(value: unknown): value is Uint8Array {
  try {
    return value instanceof Uint8Array
  } catch {
    return false
  }
}

/** The content of a value that `encodeValue` has encoded. */
export function encodedContent(encoded: JsonValue): Content {
  return { bytes: Buffer.from(JSON.stringify(encoded)), contentType: contentTypes.value }
}

/**
 * The value of a content: text and JSON decoded, what has another type or none as bytes, and `undefined` for no bytes of
 * no type. Raises `invalid_input` for bytes that are not what their type says.
 */
export function valueOf(bytes: Uint8Array, contentType: string | undefined, subject: string): unknown {
  switch (contentType) {
    case undefined:
      return bytes.length === 0 ? undefined : bytes
    case contentTypes.text:
      return Buffer.from(bytes).toString()
    case contentTypes.json:
      return jsonOf(bytes, subject)
    case contentTypes.value:
      return readable(subject, () => decodeValue(jsonOf(bytes, subject)))
    default:
      return bytes
  }
}

/** Tells a payload from others without keeping it; the same for values that differ in the order of their fields alone. */
export function payloadDigest(payload: { readonly bytes: Base64; readonly contentType?: string }): string {
  return createHash('sha256').update(essenceOf(payload)).digest('base64url')
}

/** What makes a payload what it is, as text. */
export function essenceOf({ bytes, contentType }: { readonly bytes: Base64; readonly contentType?: string }): string {
  const isValue = contentType === contentTypes.value
  return `${contentType ?? ''} ${isValue ? canonicalText(jsonOf(decodeBytes(bytes), 'payload')) : bytes}`
}

/** Bytes read as JSON. Raises `invalid_input`. */
export function jsonOf(bytes: Uint8Array, subject: string): JsonValue {
  try {
    return JSON.parse(Buffer.from(bytes).toString()) as JsonValue
  } catch (cause) {
    throw new InvalidInputError({ subject, field: '$', reason: `not JSON: ${messageOf(cause)}` }, { cause })
  }
}
