import * as v from 'valibot'
import { readable } from './decode.js'
import { describeValue, InvalidInputError, isList } from './errors.js'

/** One schema per field; a field without one does not compile, so that no option is forgotten here. */
type FieldSchemas<Options extends object> = {
  readonly [Name in keyof Options]-?: v.GenericSchema<unknown, Options[Name] | undefined>
}

/**
 * The strict schema of an object of options: a field that is not named here is refused, and the refusal says which are
 * known. Make fields optional with `v.optional`: `undefined` is the same as leaving the field out.
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

/** A strict schema of data whose refusals say which fields are known; absent fields are those of `v.exactOptional`. */
export function strictSchema<const Entries extends v.ObjectEntries>(entries: Entries) {
  const known = new Set(Object.keys(entries))
  return v.strictObject(entries, ({ expected, message }) =>
    expected === 'never' ? unknownField(known) : expected === 'Object' ? message : 'missing',
  )
}

/** Arrays have fields too, but none that anybody means. */
const objectSchema = v.custom<object>(
  (input) => typeof input === 'object' && input !== null && !isList(input),
  ({ input }) => `not an object: ${textOf(input)}`,
)

/** Accepts an object whose fields have names of the caller's own and values of one kind. A list is none. */
export function recordSchema<Value>(
  value: v.GenericSchema<unknown, Value>,
): v.GenericSchema<unknown, Record<string, Value>> {
  return v.pipe(objectSchema, v.record(v.string(), value))
}

/**
 * Refuses what is no object, and fields that are not known. For doors that are passed very often and whose values are
 * checked one by one further in. Raises `invalid_input`.
 */
export function checkFields(subject: string, input: unknown, known: ReadonlySet<string>): void {
  if (typeof input !== 'object' || input === null || isList(input)) {
    throw new InvalidInputError({ subject, field: '$', reason: `not an object: ${textOf(input)}` })
  }
  const field = readable(subject, () => firstUnknown(input, known))
  if (field !== undefined) throw new InvalidInputError({ subject, field, reason: unknownField(known) })
}

/** Raises `invalid_input` unless the value is text; for ids and names that are looked up as they are. */
export function checkText(subject: string, input: unknown): asserts input is string {
  if (typeof input !== 'string') {
    throw new InvalidInputError({ subject, field: '$', reason: `not text: ${textOf(input)}` })
  }
}

/** Raises `invalid_input` unless the value can be called. */
export function checkFunction(subject: string, input: unknown): void {
  if (typeof input !== 'function') {
    throw new InvalidInputError({ subject, field: '$', reason: `not a function: ${textOf(input)}` })
  }
}

/** What a refusal shows of a value: never more than a few words, nothing of what an object holds, and never an error of its own. */
export function textOf(input: unknown): string {
  if (typeof input === 'object' && input !== null) return isList(input) ? 'an array' : 'an object'
  return describeValue(typeof input === 'string' ? input.slice(0, 64) : input)
}

/**
 * Accepts an object that has these methods, of its own or inherited, and hands it on as it is: it may be more than that.
 * Optional methods are absent or can be called.
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

/** Accepts a function and hands it on as it is. */
export function functionSchema<Fn>(): v.GenericSchema<unknown, Fn> {
  return v.custom<Fn>(
    (input) => typeof input === 'function',
    ({ input }) => `not a function: ${textOf(input)}`,
  )
}

/** Accepts text. */
export function textSchema<Text extends string = string>(): v.GenericSchema<unknown, Text> {
  return v.custom<Text>(
    (input) => typeof input === 'string',
    ({ input }) => `not text: ${textOf(input)}`,
  )
}

/** Accepts text that says something. */
export const nameSchema = v.custom<string>(
  (input) => typeof input === 'string' && input !== '',
  ({ input }) => `not text, or empty: ${textOf(input)}`,
)

/** Accepts a whole number within bounds, which the refusal states. */
export function wholeNumberSchema(
  from: number,
  to: number = Number.MAX_SAFE_INTEGER,
): v.GenericSchema<unknown, number> {
  return v.custom<number>(
    (input) => Number.isSafeInteger(input) && (input as number) >= from && (input as number) <= to,
    ({ input }) => `not a whole number from ${from} to ${to}: ${textOf(input)}`,
  )
}

/** Accepts a number within bounds, which the refusal states. */
export function numberSchema(from: number, to: number): v.GenericSchema<unknown, number> {
  return v.custom<number>(
    (input) => typeof input === 'number' && input >= from && input <= to,
    ({ input }) => `not a number from ${from} to ${to}: ${textOf(input)}`,
  )
}

/** The longest time that a caller can ask for, in milliseconds: 25 years. An instant given for a duration is beyond it. */
export const longestDurationMs = 25 * 365.25 * 24 * 60 * 60 * 1000

/** Accepts a duration in milliseconds, from 0 to {@link longestDurationMs}; fractions are allowed. */
export const durationSchema = numberSchema(0, longestDurationMs)

/** Accepts an `AbortSignal`, or what looks like one. */
export const signalSchema = v.custom<AbortSignal>(
  (input) =>
    isObject(input) && typeof input['aborted'] === 'boolean' && typeof input['addEventListener'] === 'function',
  ({ input }) => `not an AbortSignal: ${textOf(input)}`,
)

/** Options of a call that can be given up. */
export const abortableSchema = optionsSchema<{ readonly signal?: AbortSignal }>({ signal: v.optional(signalSchema) })

/** What an object inherits does not count: an `AbortController` is a way to hand over its signal. */
function firstUnknown(input: object, known: ReadonlySet<string>): string | undefined {
  for (const field of Object.keys(input)) if (!known.has(field)) return field
  return undefined
}

function unknownField(known: ReadonlySet<string>): string {
  return `unknown, the fields are ${[...known].join(', ')}`
}

function isObject(input: unknown): input is Record<string, unknown> {
  return (typeof input === 'object' && input !== null) || typeof input === 'function'
}
