import type * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import { snakeCase, wireCodec } from './wire.js'

/** A field name in snake_case. */
type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? First extends Lowercase<First>
    ? `${First}${SnakeCase<Rest>}`
    : `_${Lowercase<First>}${SnakeCase<Rest>}`
  : Name

/** The form of a value in a document: fields in snake_case, keys of records unchanged. */
export type DocumentOf<Value> = Value extends string | number | boolean | null | undefined
  ? Value
  : Value extends readonly (infer Item)[]
    ? DocumentOf<Item>[]
    : { -readonly [Key in keyof Value as string extends Key ? Key : SnakeCase<Key & string>]: DocumentOf<Value[Key]> }

/** Encodes and decodes documents that are exchanged with other programs. */
export interface DocumentCodec<Value, Written> {
  encode(value: Written): DocumentOf<Written>
  /** Throws `invalid_input` naming the field as it is written in the document. Unknown fields are ignored. */
  decode(document: unknown): Value
}

/**
 * Creates the codec of documents that other programs write, too. One schema serves both the journal, which refuses
 * unknown fields, and documents, which may contain more.
 */
export function documentCodec<Written, Value>(
  schema: v.GenericSchema<Written, Value>,
  subject: string,
): DocumentCodec<Value, Written> {
  const wire = wireCodec(schema)
  return {
    encode: (value) => wire.encode(value) as DocumentOf<Written>,
    decode(document) {
      const named = wire.decode(document, subject, { ignoresUnknown: true })
      try {
        return decode(schema, named, subject)
      } catch (refusal) {
        throw inSpellingOf(document, refusal)
      }
    },
  }
}

function inSpellingOf(document: unknown, refusal: unknown): unknown {
  if (!StatewardError.is(refusal, 'invalid_input')) return refusal
  const { subject, field: path, reason } = (refusal as InvalidInputError).data
  let within = document
  const names = path.split('.').map((name) => {
    // Keys of records are not renamed.
    const isKey = typeof within === 'object' && within !== null && Object.hasOwn(within, name)
    const written = isKey ? name : snakeCase(name)
    within = (within as Readonly<Record<string, unknown>> | null | undefined)?.[written]
    return written
  })
  return new InvalidInputError({ subject, field: names.join('.'), reason }, { cause: refusal })
}
