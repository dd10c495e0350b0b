import type * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import { storedReader } from './reader.js'
import { wireCodec } from './wire.js'

/** How one kind of stored value is written and read. */
export interface StoredCodec<Value> {
  /** The value with the names of the wire. */
  encode(value: Value): JsonObject
  /** Reads a stored value; raises `invalid_input` naming the field, its version before anything else. */
  decode(stored: JsonObject): Value
}

/** The codec of values that carry the version of their shape. Raises `wire_schema` like {@link wireCodec}. */
export function storedCodec<Value extends { readonly version: number }>(
  schema: v.GenericSchema<unknown, Value>,
  { version, subject }: { readonly version: number; readonly subject: string },
): StoredCodec<Value> {
  const wire = wireCodec(schema)
  const read = storedReader(schema)
  return {
    encode: (value) => wire.encode(value) as JsonObject,
    decode(stored) {
      if (stored['version'] !== version) {
        const reason = `version ${JSON.stringify(stored['version'])}, this program reads ${version}`
        throw new InvalidInputError({ subject, field: 'version', reason })
      }
      return read(stored, subject)
    },
  }
}
