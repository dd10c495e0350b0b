import * as v from 'valibot'
import { decode } from '../base/decode.js'
import { InvalidInputError } from '../base/errors.js'
import { copyJson } from '../base/json-copy.js'
import type { JsonObject, JsonValue } from '../base/json.js'
import { textOf } from '../base/options.js'

/** Identifies a process. Chosen by its producer, and the only thing that identifies a repeated registration (P-1). */
export type ProcessId = string

/** The longest id or name, in characters. */
export const longestId = 256

/** The longest replay key, in characters: an id, a name, a signal id and the words between. */
export const longestKey = 1024

/** The largest input, event payload and output, in bytes of its JSON in UTF-8. The same in every store (P-8). */
export const largestValueBytes = 2 ** 20

/** Ids are printable ASCII, so that memory and SQL compare them alike, by bytes. */
function printable(longest: number, what: string): v.GenericSchema<unknown, string> {
  return v.custom<string>(
    (input) => typeof input === 'string' && isPrintable(input, longest),
    ({ input }) => `not ${what} of 1 to ${longest} printable ASCII characters: ${textOf(input)}`,
  )
}

const printablePattern = /^[\x20-\x7e]+$/

function isPrintable(text: string, longest: number): boolean {
  return text.length <= longest && printablePattern.test(text) && text.trim() !== ''
}

/** Accepts an id. */
export const idSchema = printable(longestId, 'an id')

/** Accepts the name of a kind, event type or label. */
export const nameSchema = printable(longestId, 'a name')

/** Accepts a replay key. */
export const keySchema = printable(longestKey, 'a key')

/** Accepts display text of at most 65,536 characters. */
export const textSchema = v.custom<string>(
  (input) => typeof input === 'string' && input.length <= 65_536,
  ({ input }) => `not text of at most 65536 characters: ${textOf(input)}`,
)

/** Accepts an instant in epoch milliseconds, a sequence or a count, from 0. */
export const naturalSchema = v.custom<number>(
  (input) => Number.isSafeInteger(input) && (input as number) >= 0,
  ({ input }) => `not a whole number from 0: ${textOf(input)}`,
)

/** Accepts a whole number from 1. */
export const positiveSchema = v.custom<number>(
  (input) => Number.isSafeInteger(input) && (input as number) >= 1,
  ({ input }) => `not a whole number from 1: ${textOf(input)}`,
)

/** Accepts any JSON value. The whole input was copied before, so this value is JSON already. */
export const jsonSchema = v.custom<JsonValue>((input) => input !== undefined, 'missing')

/** Accepts a JSON object. */
export const jsonObjectSchema = v.custom<JsonObject>(
  (input) => typeof input === 'object' && input !== null && !Array.isArray(input),
  ({ input }) => `not an object: ${textOf(input)}`,
)

/**
 * Copies an input, checks it and freezes the copy. Raises `invalid_input` naming the field, and nothing else, whatever
 * the input is.
 */
export function take<Value>(schema: v.GenericSchema<unknown, Value>, input: unknown, subject: string): Value {
  return decode(schema, copyJson(input, subject), subject)
}

/** Checks an id, by default of a process. Raises `invalid_input`. */
export function takeId(input: unknown, subject = 'process id'): string {
  if (typeof input === 'string' && isPrintable(input, longestId)) return input
  return decode(idSchema, input, subject)
}

/** Checks a name. Raises `invalid_input`. */
export function takeName(input: unknown, subject: string): string {
  return decode(nameSchema, input, subject)
}

/** Checks a cursor: a sequence, or 0 for the start. Raises `invalid_input`. */
export function takeSequence(input: unknown, subject: string): number {
  return decode(naturalSchema, input, subject)
}

/** Checks a bound. In every store, one beyond the largest safe integer means no bound (P-7). Raises `invalid_input`. */
export function takeBound(input: unknown, subject: string): number {
  if (typeof input === 'number' && input > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER
  return decode(naturalSchema, input, subject)
}

/** Raises `invalid_input` if a value is larger than {@link largestValueBytes}. */
export function checkSize(value: JsonValue, subject: string, field: string): void {
  const bytes = Buffer.byteLength(JSON.stringify(value))
  if (bytes <= largestValueBytes) return
  throw new InvalidInputError({ subject, field, reason: `${bytes} bytes exceed the limit of ${largestValueBytes}` })
}
