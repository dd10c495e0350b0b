import { canonicalJson } from '../base/json-copy.js'
import type { JsonValue } from '../base/json.js'

const encoder = new TextEncoder()

/**
 * The only byte encoding of a value that is signed or hashed: JSON in UTF-8 without spaces, the keys of every object
 * sorted by their UTF-16 units, absent fields left out, numbers as JavaScript prints them, names in snake_case. Values
 * must have passed a strict schema whose numbers are safe integers, so that two values have equal bytes exactly when
 * they are equal.
 */
export function canonicalBytes(value: JsonValue): Uint8Array {
  return encoder.encode(canonicalJson(value))
}
