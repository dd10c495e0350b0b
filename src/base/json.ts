import { InvalidInputError, messageOf } from './errors.js'

/** A value that survives `JSON.stringify` and `JSON.parse` unchanged. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject

/** An object of JSON values; a property that is `undefined` is left out when written. */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined
}

/**
 * A value as JSON text; nothing for what JSON leaves out, such as `undefined` or a function.
 *
 * Raises `invalid_input`, with the reason, for what JSON cannot say: bytes, a BigInt, a circle, a getter or `toJSON` that throws.
 */
export function toJsonText(value: unknown, subject: string, field = '$'): string | undefined {
  // It would say every byte as a property of an object; of many bytes it cannot even do that, but takes minutes to find out.
  if (ArrayBuffer.isView(value))
    throw new InvalidInputError({
      subject,
      field,
      reason: 'JSON cannot say it: bytes are no JSON, encode them as text',
    })
  try {
    const text: string | undefined = JSON.stringify(value)
    return text
  } catch (cause) {
    throw new InvalidInputError({ subject, field, reason: `JSON cannot say it: ${messageOf(cause)}` }, { cause })
  }
}

/** The same text for equal values, whatever the order of their keys. */
export function canonicalText(value: JsonValue): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
  })
}
