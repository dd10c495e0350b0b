import { createHash } from 'node:crypto'
import { readable } from '../base/decode.js'
import { InvalidInputError, messageOf } from '../base/errors.js'
import { canonicalText, type JsonValue } from '../base/json.js'
import { decodeValue, encodeValue } from '../work/values.js'
import { decodeBytes, type Base64, type BytesInput } from './bytes.js'

/** Bytes and their content type: a payload, or what a handler returned. */
export interface Content {
  readonly bytes: BytesInput
  /** Absent for bytes of unknown meaning. */
  readonly contentType?: string
}

/**
 * How values become bytes: text as UTF-8, bytes unchanged, any other value as the JSON text that `encodeValue` makes.
 */
export const contentTypes = {
  text: 'text/plain',
  bytes: 'application/octet-stream',
  value: 'application/vnd.stateward.value+json',
  json: 'application/json',
} as const

/**
 * Encodes a value so that {@link valueOf} returns the same value; `undefined` encodes to nothing. Raises
 * `invalid_input`, naming the path of the first part that JSON would change.
 */
export function contentOf(value: unknown, subject: string, field?: string): Content | undefined {
  // Text with half a surrogate pair cannot be encoded as UTF-8, but can be as JSON.
  if (typeof value === 'string' && !halfOfPair.test(value))
    return { bytes: Buffer.from(value), contentType: contentTypes.text }
  if (isBytes(value)) return { bytes: value, contentType: contentTypes.bytes }
  const encoded = encodeValue(value, subject, field)
  return encoded === undefined ? undefined : encodedContent(encoded)
}

/** An unpaired surrogate. */
const halfOfPair = /\p{Surrogate}/u

/** True for bytes. A revoked proxy is not bytes, and asking it would throw. */
export function isBytes(value: unknown): value is Uint8Array {
  try {
    return value instanceof Uint8Array
  } catch {
    return false
  }
}

/** The content for a value that `encodeValue` has already encoded. */
export function encodedContent(encoded: JsonValue): Content {
  return { bytes: Buffer.from(JSON.stringify(encoded)), contentType: contentTypes.value }
}

/**
 * Decodes a content: text and JSON are decoded, other and missing types are returned as bytes, and no bytes of no type
 * as `undefined`. Raises `invalid_input` for bytes that do not match their type.
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

/** A digest of a payload, for comparing it without keeping it. The order of fields does not change it. */
export function payloadDigest(payload: { readonly bytes: Base64; readonly contentType?: string }): string {
  return createHash('sha256').update(essenceOf(payload)).digest('base64url')
}

/** The canonical text of a payload, by which payloads are compared. */
export function essenceOf({ bytes, contentType }: { readonly bytes: Base64; readonly contentType?: string }): string {
  const isValue = contentType === contentTypes.value
  return `${contentType ?? ''} ${isValue ? canonicalText(jsonOf(decodeBytes(bytes), 'payload')) : bytes}`
}

/** Parses bytes as JSON. Raises `invalid_input`. */
export function jsonOf(bytes: Uint8Array, subject: string): JsonValue {
  try {
    return JSON.parse(Buffer.from(bytes).toString()) as JsonValue
  } catch (cause) {
    throw new InvalidInputError({ subject, field: '$', reason: `not JSON: ${messageOf(cause)}` }, { cause })
  }
}
