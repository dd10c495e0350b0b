import type * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError, StatewardError } from '../base/errors.js'
import { snakeCase, wireCodec } from './wire.js'

/** A name of the code as documents spell it. */
type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? First extends Lowercase<First>
    ? `${First}${SnakeCase<Rest>}`
    : `_${Lowercase<First>}${SnakeCase<Rest>}`
  : Name

/** A value as it stands in a document: its fields in snake_case, keys of records as they are. */
export type DocumentOf<Value> = Value extends string | number | boolean | null | undefined
  ? Value
  : Value extends readonly (infer Item)[]
    ? DocumentOf<Item>[]
    : { -readonly [Key in keyof Value as string extends Key ? Key : SnakeCase<Key & string>]: DocumentOf<Value[Key]> }

/** How a document that is exchanged with others is written and read. */
export interface DocumentCodec<Value, Written> {
  encode(value: Written): DocumentOf<Written>
  /** Raises `invalid_input` naming the field as the document spells it. Fields that nobody here knows are ignored. */
  decode(document: unknown): Value
}

/**
 * The codec of documents that other programs write, too: the schema says each value once, for the journal, which refuses what
 * it does not know, and for them, which may say more.
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
    // Keys of records are found as they are.
    const isKey = typeof within === 'object' && within !== null && Object.hasOwn(within, name)
    const written = isKey ? name : snakeCase(name)
    within = (within as Readonly<Record<string, unknown>> | null | undefined)?.[written]
    return written
  })
  return new InvalidInputError({ subject, field: names.join('.'), reason }, { cause: refusal })
}
