import * as v from 'valibot'
import { readable } from './decode.js'
import { describeValue, InvalidInputError, isList } from './errors.js'

/** One schema per field. A missing field does not compile, so no option can be forgotten. */
type FieldSchemas<Options extends object> = {
  readonly [Name in keyof Options]-?: v.GenericSchema<unknown, Options[Name] | undefined>
}

/**
 * A strict schema for an options object. An unknown field is refused, and the refusal lists the known ones. Use
 * `v.optional` for optional fields: `undefined` is the same as leaving the field out.
 */
export function optionsSchema<Options extends object>(
  fields: FieldSchemas<Options>,
): v.GenericSchema<unknown, Options> {
  const known = new Set(Object.keys(fields))
  return v.pipe(
    objectSchema,
    v.rawCheck(({ dataset: { value: input }, addIssue }) => {
      const field = firstUnknown(input as object, known)
      if (field === undefined) return
      const item = { type: 'object', origin: 'key', input: input as Record<string, unknown>, key: field } as const
      addIssue({ message: unknownField(known), path: [{ ...item, value: undefined }] })
    }),
    v.object(fields, 'missing'),
  ) as unknown as v.GenericSchema<unknown, Options>
}

/** A strict schema for data. Refusals list the known fields. Fields that may be absent use `v.exactOptional`. */
export function strictSchema<const Entries extends v.ObjectEntries>(entries: Entries) {
  const known = new Set(Object.keys(entries))
  return v.strictObject(entries, ({ expected, message }) =>
    expected === 'never' ? unknownField(known) : expected === 'Object' ? message : 'missing',
  )
}

/** Arrays are refused: they are objects, but never meant as options. */
const objectSchema = v.custom<object>(
  (input) => typeof input === 'object' && input !== null && !isList(input),
  ({ input }) => `not an object: ${textOf(input)}`,
)

/**
 * Accepts an object whose field names are chosen by the caller and whose values are all of one kind. Arrays are
 * refused.
 */
export function recordSchema<Value>(
  value: v.GenericSchema<unknown, Value>,
): v.GenericSchema<unknown, Record<string, Value>> {
  return v.pipe(objectSchema, v.record(v.string(), value))
}

/**
 * Refuses anything that is not an object, and unknown fields. For entry points that are called very often and check
 * values one by one later. Throws `invalid_input`.
 */
export function checkFields(subject: string, input: unknown, known: ReadonlySet<string>): void {
  if (typeof input !== 'object' || input === null || isList(input)) {
    throw new InvalidInputError({ subject, field: '$', reason: `not an object: ${textOf(input)}` })
  }
  const field = readable(subject, firstUnknown, input, known)
  if (field !== undefined) throw new InvalidInputError({ subject, field, reason: unknownField(known) })
}

/** Throws `invalid_input` unless the value is a string. For ids and names that are only looked up. */
export function checkText(subject: string, input: unknown): asserts input is string {
  if (typeof input !== 'string') {
    throw new InvalidInputError({ subject, field: '$', reason: `not text: ${textOf(input)}` })
  }
}

/** Throws `invalid_input` unless the value is a function. */
export function checkFunction(subject: string, input: unknown): void {
  if (typeof input !== 'function') {
    throw new InvalidInputError({ subject, field: '$', reason: `not a function: ${textOf(input)}` })
  }
}

/** Describes a value in a refusal: at most a few words, never the contents of an object. Never throws. */
export function textOf(input: unknown): string {
  if (typeof input === 'object' && input !== null) return isList(input) ? 'an array' : 'an object'
  return describeValue(typeof input === 'string' ? input.slice(0, 64) : input)
}

/**
 * Accepts an object that has these methods, its own or inherited, and returns it unchanged; it may have more members.
 * Optional methods must be absent or functions.
 */
export function portSchema<Port extends object>(
  methods: readonly (keyof Port & string)[],
  optional: readonly (keyof Port & string)[] = [],
): v.GenericSchema<unknown, Port> {
  const firstWrong = (input: Record<string, unknown>): string | undefined =>
    methods.find((method) => typeof input[method] !== 'function') ??
    optional.find((method) => input[method] !== undefined && typeof input[method] !== 'function')
  return v.custom<Port>(
    (input) => isObject(input) && firstWrong(input) === undefined,
    ({ input }) => (isObject(input) ? `has no method ${firstWrong(input)}` : `not an object: ${textOf(input)}`),
  )
}

/** Accepts a function and returns it unchanged. */
export function functionSchema<Fn>(): v.GenericSchema<unknown, Fn> {
  return v.custom<Fn>(
    (input) => typeof input === 'function',
    ({ input }) => `not a function: ${textOf(input)}`,
  )
}

/** Accepts a string. */
export function textSchema<Text extends string = string>(): v.GenericSchema<unknown, Text> {
  return v.custom<Text>(
    (input) => typeof input === 'string',
    ({ input }) => `not text: ${textOf(input)}`,
  )
}

/** Accepts a string that is not empty. */
export const nameSchema = v.custom<string>(
  (input) => typeof input === 'string' && input !== '',
  ({ input }) => `not text, or empty: ${textOf(input)}`,
)

/** Accepts a whole number within bounds. The refusal states the bounds. */
export function wholeNumberSchema(
  from: number,
  to: number = Number.MAX_SAFE_INTEGER,
): v.GenericSchema<unknown, number> {
  return v.custom<number>(
    (input) => Number.isSafeInteger(input) && (input as number) >= from && (input as number) <= to,
    ({ input }) => `not a whole number from ${from} to ${to}: ${textOf(input)}`,
  )
}

/** Accepts a number within bounds. The refusal states the bounds. */
export function numberSchema(from: number, to: number): v.GenericSchema<unknown, number> {
  return v.custom<number>(
    (input) => typeof input === 'number' && input >= from && input <= to,
    ({ input }) => `not a number from ${from} to ${to}: ${textOf(input)}`,
  )
}

/**
 * The longest duration that callers may ask for, in milliseconds: 25 years. An instant passed as a duration by
 * mistake exceeds it.
 */
export const longestDurationMs = 25 * 365.25 * 24 * 60 * 60 * 1000

/** Accepts a duration in milliseconds, from 0 to {@link longestDurationMs}. Fractions are allowed. */
export const durationSchema = numberSchema(0, longestDurationMs)

/** Accepts an `AbortSignal` or anything with its shape. */
export const signalSchema = v.custom<AbortSignal>(
  (input) =>
    isObject(input) && typeof input['aborted'] === 'boolean' && typeof input['addEventListener'] === 'function',
  ({ input }) => `not an AbortSignal: ${textOf(input)}`,
)

/** Options of a call that can be aborted. */
export const abortableSchema = optionsSchema<{ readonly signal?: AbortSignal }>({ signal: v.optional(signalSchema) })

/** Inherited properties do not count: passing an `AbortController` for its `signal` is allowed. */
function firstUnknown(input: object, known: ReadonlySet<string>): string | undefined {
  // Without a list of the keys: some callers come here for every operation.
  for (const field in input) if (!known.has(field) && Object.hasOwn(input, field)) return field
  return undefined
}

function unknownField(known: ReadonlySet<string>): string {
  return `unknown, the fields are ${[...known].join(', ')}`
}

function isObject(input: unknown): input is Record<string, unknown> {
  return (typeof input === 'object' && input !== null) || typeof input === 'function'
}
