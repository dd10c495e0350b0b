import * as v from 'valibot'
import { messageOf } from './errors.js'
import { strictSchema } from './options.js'

/** A thrown value as plain data of bounded size: enough to read it and branch on it in another process. */
export interface ErrorDetails {
  /** Name of the error's class, such as `TypeError`; `thrown` for a value that is not an error. */
  readonly name: string
  readonly message: string
  /** The error's own code, such as `ENOENT` or one of stateward's. */
  readonly code?: string
  readonly stack?: string
  readonly cause?: ErrorDetails
  /** The members of an `AggregateError`. */
  readonly errors?: readonly ErrorDetails[]
}

/** Accepts {@link ErrorDetails} read back from storage. */
export const errorDetailsSchema: v.GenericSchema<unknown, ErrorDetails> = strictSchema({
  name: v.string(),
  message: v.string(),
  code: v.exactOptional(v.string()),
  stack: v.exactOptional(v.string()),
  cause: v.exactOptional(v.lazy(() => errorDetailsSchema)),
  errors: v.exactOptional(v.array(v.lazy(() => errorDetailsSchema))),
})

/** Limits on the length of texts, in UTF-16 units, on the depth of causes and members, and on the total. */
export const errorDetailsLimits = {
  name: 200,
  code: 200,
  message: 8192,
  stack: 8192,
  depth: 8,
  members: 16,
  /** Errors in total. Members may have members, and a few errors that name each other could expand to millions. */
  errors: 64,
  /** Text in total, in UTF-16 units. */
  text: 65_536,
} as const

/** What is left of the limits on the total. */
interface Budget {
  errors: number
  text: number
}

/**
 * Describes any thrown value as data. Never throws, whatever the value's getters do. A part that does not have its
 * declared type is converted to text or left out, and a cyclic chain of causes is cut at the repetition. Applied to
 * its own result, it returns the same details.
 */
export function errorDetailsOf(thrown: unknown): ErrorDetails {
  const { errors, text } = errorDetailsLimits
  return detailsOf(thrown, [], { errors, text })
}

/** The fields with which a log line describes a thrown value: its message, and all that is known of it. */
export function faultFields(thrown: unknown): { readonly error: string; readonly cause: ErrorDetails } {
  return { error: messageOf(thrown), cause: errorDetailsOf(thrown) }
}

function detailsOf(thrown: unknown, above: readonly unknown[], budget: Budget): ErrorDetails {
  budget.errors -= 1
  const message = take(messageOf(thrown), errorDetailsLimits.message, budget)
  if (typeof thrown !== 'object' || thrown === null) return { name: 'thrown', message }
  const { depth, members } = errorDetailsLimits
  const path = [...above, thrown]
  const below = (value: unknown): ErrorDetails | undefined =>
    value === undefined || path.length > depth || budget.errors === 0 || path.includes(value)
      ? undefined
      : detailsOf(value, path, budget)
  const name = textOf(read(thrown, 'name'), errorDetailsLimits.name, budget)
  const code = codeOf(read(thrown, 'code'), budget)
  const stack = textOf(read(thrown, 'stack'), errorDetailsLimits.stack, budget)
  const cause = below(read(thrown, 'cause'))
  const errors = listOf(read(thrown, 'errors'), members).flatMap((member) => below(member) ?? [])
  return {
    name: name ?? 'thrown',
    message,
    ...(code !== undefined && { code }),
    ...(stack !== undefined && { stack }),
    ...(cause !== undefined && { cause }),
    ...(errors.length > 0 && { errors }),
  }
}

function read(thrown: object, field: string): unknown {
  try {
    return (thrown as Readonly<Record<string, unknown>>)[field]
  } catch {
    return undefined
  }
}

function textOf(value: unknown, limit: number, budget: Budget): string | undefined {
  return typeof value === 'string' && value !== '' ? take(value, limit, budget) : undefined
}

/** Some clients use numbers as codes. */
function codeOf(value: unknown, budget: Budget): string | undefined {
  return textOf(typeof value === 'number' ? String(value) : value, errorDetailsLimits.code, budget)
}

function listOf(value: unknown, limit: number): readonly unknown[] {
  try {
    return Array.isArray(value)
      ? Array.from({ length: Math.min(value.length, limit) }, (_, index): unknown => value[index])
      : []
  } catch {
    return []
  }
}

function take(text: string, limit: number, budget: Budget): string {
  const most = Math.min(limit, budget.text)
  budget.text -= Math.min(text.length, most)
  return text.length > most ? `${text.slice(0, most)}…` : text
}

/** Rebuilds an error from its details. It has the name, message, code, stack, cause and members of the original. */
export function errorOfDetails({ name, message, code, stack, cause, errors }: ErrorDetails): Error {
  const options = cause === undefined ? undefined : { cause: errorOfDetails(cause) }
  const error =
    errors === undefined
      ? new Error(message, options)
      : new AggregateError(errors.map(errorOfDetails), message, options)
  // The stack of the new error would point to this line.
  const shown = { name, stack: stack ?? `${name}: ${message}`, ...(code !== undefined && { code }) }
  for (const [key, value] of Object.entries(shown)) {
    Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: key === 'code' })
  }
  return error
}
