import * as v from 'valibot'
import { InvalidInputError, messageOf, StatewardError } from './errors.js'

/**
 * Decodes untrusted input with a schema.
 *
 * Throws `invalid_input` naming the first offending field. The input is never changed.
 */
export function decode<Schema extends v.GenericSchema>(
  schema: Schema,
  input: unknown,
  subject: string,
): v.InferOutput<Schema> {
  const result = readable(subject, () => v.safeParse(schema, input, { abortEarly: true }))
  if (result.success) return result.output
  const [issue] = result.issues
  throw new InvalidInputError({ subject, field: v.getDotPath(issue) ?? '$', reason: issue.message })
}

/**
 * Returns the result of `read`, which is called with the other arguments. If reading the input throws, in a getter for
 * instance, throws `invalid_input` with that as its cause.
 */
export function readable<Value>(subject: string, read: () => Value): Value
export function readable<Value, Input>(subject: string, read: (input: Input) => Value, input: Input): Value
export function readable<Value, Input, More>(
  subject: string,
  read: (input: Input, more: More) => Value,
  input: Input,
  more: More,
): Value
export function readable<Value>(
  subject: string,
  read: (input?: unknown, more?: unknown) => Value,
  input?: unknown,
  more?: unknown,
): Value {
  try {
    return read(input, more)
  } catch (cause) {
    if (StatewardError.is(cause)) throw cause
    throw new InvalidInputError({ subject, field: '$', reason: `cannot be read: ${messageOf(cause)}` }, { cause })
  }
}

/**
 * Parses JSON text of at most `maxBytes` bytes (UTF-8) and decodes it with a schema.
 *
 * Throws `invalid_input` for text that is too long, is not JSON, or does not fit the schema.
 */
export function decodeJson<Schema extends v.GenericSchema>(
  schema: Schema,
  text: string,
  { subject, maxBytes }: { readonly subject: string; readonly maxBytes: number },
): v.InferOutput<Schema> {
  const bytes = Buffer.byteLength(text)
  if (bytes > maxBytes) {
    throw new InvalidInputError({ subject, field: '$', reason: `${bytes} bytes exceed the limit of ${maxBytes}` })
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InvalidInputError({ subject, field: '$', reason: `not JSON: ${(cause as Error).message}` }, { cause })
  }
  return decode(schema, value, subject)
}
