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

/** The longest texts that are kept, in UTF-16 units, how far causes and members are followed, and how many errors are kept in all. */
export const errorDetailsLimits = {
  name: 200,
  code: 200,
  message: 8192,
  stack: 8192,
  depth: 8,
  members: 16,
  total: 64,
} as const

/**
 * Takes down whatever was thrown. Never throws itself, whatever its getters do; a part that is not what its type says is
 * turned into text or left out, and a chain that leads back to itself ends there.
 */
export function errorDetailsOf(thrown: unknown): ErrorDetails {
  return detailsOf(thrown, [], { left: errorDetailsLimits.total })
}

function detailsOf(thrown: unknown, above: readonly unknown[], room: { left: number }): ErrorDetails {
  room.left -= 1
  const message = shorten(messageOf(thrown), errorDetailsLimits.message)
  if (typeof thrown !== 'object' || thrown === null) return { name: 'thrown', message }
  const { depth, members } = errorDetailsLimits
  const path = [...above, thrown]
  const below = (value: unknown): ErrorDetails | undefined =>
    value === undefined || room.left === 0 || path.length > depth || path.includes(value)
      ? undefined
      : detailsOf(value, path, room)
  const name = textOf(read(thrown, 'name'), errorDetailsLimits.name)
  const code = codeOf(read(thrown, 'code'))
  const stack = textOf(read(thrown, 'stack'), errorDetailsLimits.stack)
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

function textOf(value: unknown, limit: number): string | undefined {
  return typeof value === 'string' && value !== '' ? shorten(value, limit) : undefined
}

/** Some clients number their codes. */
function codeOf(value: unknown): string | undefined {
  return textOf(typeof value === 'number' ? String(value) : value, errorDetailsLimits.code)
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

function shorten(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}…` : text
}
