import { canonicalJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'

const encoder = new TextEncoder()

/**
 * The one byte encoding of a value that is signed or hashed: JSON in UTF-8 without spaces, the keys of every object in the
 * order of their UTF-16 units, absent fields left out, numbers as JavaScript writes them, names in snake_case. What is
 * encoded so has passed a strict schema whose numbers are safe integers, so that equal values have equal bytes and other
 * values other bytes.
 */
export function canonicalBytes(value: JsonValue): Uint8Array {
  return encoder.encode(canonicalJson(value))
}
