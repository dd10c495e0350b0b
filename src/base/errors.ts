/**
 * All errors of stateward. Every error that leaves the library is a {@link StatewardError}. Programs branch on `code`
 * and read `data`; people read `message`.
 */

const brand = Symbol.for('stateward.error')

/**
 * Base class of every error that stateward throws.
 *
 * `code` is stable across releases. `data` is plain and typed by the code. `message` is for people and must never be
 * parsed.
 */
export class StatewardError<Code extends string = string, Data = unknown> extends Error {
  override readonly name: string = 'StatewardError'
  readonly code: Code
  readonly data: Data
  /** Identifies the class across several installed copies of the package. */
  readonly [brand] = true

  constructor(code: Code, message: string, data: Data, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.data = data
  }

  /** True for an error of any installed copy of stateward, optionally with this `code`. Never throws. */
  static is<Code extends string>(value: unknown, code?: Code): value is StatewardError<Code> {
    if (typeof value !== 'object' || value === null) return false
    try {
      // A proxy may throw at any of these.
      if (!(brand in value)) return false
      const { code: found } = value as StatewardError
      return typeof found === 'string' && (code === undefined || found === code)
    } catch {
      return false
    }
  }
}

/** The data of {@link InvalidInputError}. */
export interface InvalidInput {
  /** What was being decoded, for instance `plan file` or `journal record`. */
  readonly subject: string
  /** Dotted path of the offending field, for instance `tools.3.timeoutMs`. `$` is the value itself. */
  readonly field: string
  /** Why the field was refused. */
  readonly reason: string
}

/** Thrown with code `invalid_input` when untrusted input does not fit its schema or exceeds its size limit. */
export class InvalidInputError extends StatewardError<'invalid_input', InvalidInput> {
  override readonly name = 'InvalidInputError'

  constructor(input: InvalidInput, options?: ErrorOptions) {
    super('invalid_input', `invalid ${input.subject}: ${input.field}: ${input.reason}`, input, options)
  }
}

/** The longest description of a value that has no message, in UTF-16 units. */
const longestDescription = 1000
/** How many properties of an object a description names, and how deep it goes. */
const describedProperties = 20
const deepestDescription = 2

/**
 * The text of any thrown value: the message of an error or of anything that looks like one, otherwise a description
 * of the value. Always returns a string and never throws, whatever the value is: an end must not be lost because of
 * its message.
 */
export function messageOf(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown
  if (typeof thrown !== 'object' || thrown === null) return describeValue(thrown)
  try {
    const { message } = thrown as { readonly message?: unknown }
    if (typeof message === 'string') return message
    // HTTP clients often put the body of a response here.
    if (message !== undefined && message !== null) return describeValue(message)
    // oxlint-disable-next-line typescript/no-base-to-string -- what comes of that is told apart below
    const text = String(thrown)
    if (!text.startsWith('[object ')) return shorten(text)
  } catch {
    // It has no text.
    if (isError(thrown)) return 'an error whose message cannot be read'
  }
  return describeValue(thrown)
}

/**
 * Describes any value in one short line for people: text in quotes, an object by its first properties. Never throws.
 * Refusals of options use a shorter form: see `textOf` in options.ts.
 */
export function describeValue(value: unknown, depth = 0): string {
  try {
    switch (typeof value) {
      case 'string':
        return JSON.stringify(shorten(value))
      case 'bigint':
        return `${value}n`
      case 'function':
        return 'a function'
      case 'object':
        return value === null ? 'null' : shorten(describeObject(value, depth))
      default:
        return String(value)
    }
  } catch {
    return 'a value that has no text'
  }
}

function describeObject(value: object, depth: number): string {
  const isArray = isList(value)
  if (depth === deepestDescription) return isArray ? '[…]' : '{…}'
  const keys = Object.keys(value)
  const parts = keys.slice(0, describedProperties).map((key) => {
    const text = describeProperty(value, key, depth + 1)
    return isArray ? text : `${key}: ${text}`
  })
  if (keys.length > parts.length) parts.push('…')
  if (isArray) return `[${parts.join(', ')}]`
  return parts.length === 0 ? '{}' : `{ ${parts.join(', ')} }`
}

function describeProperty(value: object, key: string, depth: number): string {
  let property: unknown
  try {
    property = (value as Readonly<Record<string, unknown>>)[key]
  } catch {
    return '…'
  }
  return describeValue(property, depth)
}

/** The value itself if it is an `Error`, otherwise an `Error` with the value as `cause`. Never throws. */
export function toError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(messageOf(thrown), { cause: thrown })
}

/** Whether the value is an array. False for a revoked proxy, which would throw when asked. */
export function isList(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

function isError(value: unknown): value is Error {
  try {
    return value instanceof Error
  } catch {
    return false
  }
}

function shorten(text: string): string {
  return text.length > longestDescription ? `${text.slice(0, longestDescription)}…` : text
}

/** Proves to the compiler that a switch is exhaustive. Reaching it at run time is a bug. */
export function unreachable(value: never, what = 'case'): never {
  throw new StatewardError('unreachable', `unhandled ${what}: ${messageOf(value)}`, { value })
}
