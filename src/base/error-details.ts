import * as v from 'valibot'
import { messageOf } from './errors.js'
import { strictSchema } from './options.js'

/** What was thrown, as data: enough to be read and branched on in another process, bounded in size. */
export interface ErrorDetails {
  /** Name of the error's class, such as `TypeError`; `thrown` for a value that is no error. */
  readonly name: string
  readonly message: string
  /** The error's own code, such as `ENOENT` or one of stateward's. */
  readonly code?: string
  readonly stack?: string
  readonly cause?: ErrorDetails
  /** Members of an `AggregateError`. */
  readonly errors?: readonly ErrorDetails[]
}

/** Accepts {@link ErrorDetails} as they were written down. */
export const errorDetailsSchema: v.GenericSchema<unknown, ErrorDetails> = strictSchema({
  name: v.string(),
  message: v.string(),
  code: v.exactOptional(v.string()),
  stack: v.exactOptional(v.string()),
  cause: v.exactOptional(v.lazy(() => errorDetailsSchema)),
  errors: v.exactOptional(v.array(v.lazy(() => errorDetailsSchema))),
})

/** The longest texts that are kept, in UTF-16 units, how far causes and members are followed, and all of it together. */
export const errorDetailsLimits = {
  name: 200,
  code: 200,
  message: 8192,
  stack: 8192,
  depth: 8,
  members: 16,
  /** Errors in all: members may have members, and a few that name each other would be millions. */
  errors: 64,
  /** Text in all. */
  text: 65_536,
} as const

/** What is left of the limits that hold for all of it. */
interface Budget {
  errors: number
  text: number
}

/**
 * Takes down whatever was thrown. Never throws itself, whatever its getters do; a part that is not what its type says is
 * turned into text or left out, and a chain that leads back to itself ends there. Details of details are the same again.
 */
export function errorDetailsOf(thrown: unknown): ErrorDetails {
  const { errors, text } = errorDetailsLimits
  return detailsOf(thrown, [], { errors, text })
}

/** What a line of a log says of what was thrown: the text, and all that is known of it. */
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

/** Some clients number their codes. */
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

/** An error that says what the one did whose details these are. */
export function errorOfDetails({ name, message, code, stack, cause, errors }: ErrorDetails): Error {
  const options = cause === undefined ? undefined : { cause: errorOfDetails(cause) }
  const error =
    errors === undefined
      ? new Error(message, options)
      : new AggregateError(errors.map(errorOfDetails), message, options)
  // Its own stack would name this line.
  const shown = { name, stack: stack ?? `${name}: ${message}`, ...(code !== undefined && { code }) }
  for (const [key, value] of Object.entries(shown)) {
    Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: key === 'code' })
  }
  return error
}
