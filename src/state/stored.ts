import type * as v from 'valibot'
import { InvalidInputError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import { storedReader } from './reader.js'
import { wireCodec } from './wire.js'

/** Encodes and decodes one kind of stored value. */
export interface StoredCodec<Value> {
  /** Encodes the value, with fields named as on the wire. */
  encode(value: Value): JsonObject
  /** Decodes a stored value. Throws `invalid_input` naming the field; the version is checked first. */
  decode(stored: JsonObject): Value
}

/** Creates the codec of values that carry the version of their shape. Throws `wire_schema` like {@link wireCodec}. */
export function storedCodec<Value extends { readonly version: number }>(
  schema: v.GenericSchema<unknown, Value>,
  {
    version,
    subject,
    leftOut,
  }: {
    readonly version: number
    readonly subject: string
    /** Fields that are checked, but that decoded values do not have. Default: none. */
    readonly leftOut?: readonly string[]
  },
): StoredCodec<Value> {
  const wire = wireCodec(schema)
  const read = storedReader(schema, leftOut)
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
