/**
 * The one error family of stateward. Every error that leaves the library is a
 * {@link StatewardError}: programs branch on `code` and read `data`, people read `message`.
 */

const brand = Symbol.for('stateward.error')

/**
 * Base class of every error stateward raises.
 *
 * `code` is stable across releases, `data` is plain and typed by the code, `message` is for people
 * and must never be parsed.
 */
export class StatewardError<Code extends string = string, Data = unknown> extends Error {
  override readonly name: string = 'StatewardError'
  readonly code: Code
  readonly data: Data
  /** Recognises the class across several installed copies of the package. */
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

/** What {@link InvalidInputError} knows about the refused value. */
export interface InvalidInput {
  /** What was being decoded, for instance `plan file` or `journal record`. */
  readonly subject: string
  /** Path of the offending field, dotted, for instance `tools.3.timeoutMs`; `$` is the value itself. */
  readonly field: string
  /** Why the field was refused. */
  readonly reason: string
}

/** Raised with code `invalid_input` when untrusted input does not fit its schema or its size limit. */
export class InvalidInputError extends StatewardError<'invalid_input', InvalidInput> {
  override readonly name = 'InvalidInputError'

  constructor(input: InvalidInput, options?: ErrorOptions) {
    super('invalid_input', `invalid ${input.subject}: ${input.field}: ${input.reason}`, input, options)
  }
}

/** The longest text of a value that brings none of its own, in UTF-16 units. */
const longestDescription = 1000
/** How many properties of an object such a text names, and how deep it looks. */
const describedProperties = 20
const deepestDescription = 2

/**
 * Text of anything that was thrown: the message of an error or of what looks like one, else the value described.
 * Always a string, and never throws itself, whatever the value is made of: an end must not be lost because of what it says.
 */
export function messageOf(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown
  if (typeof thrown !== 'object' || thrown === null) return describeValue(thrown)
  try {
    const { message } = thrown as { readonly message?: unknown }
    if (typeof message === 'string') return message
    // Clients of HTTP interfaces put the body of an answer there.
    if (message !== undefined && message !== null) return describeValue(message)
    // oxlint-disable-next-line typescript/no-base-to-string -- what comes of that is told apart below
    const text = String(thrown)
    if (!text.startsWith('[object ')) return shorten(text)
  } catch {
    // It has no text of its own.
    if (isError(thrown)) return 'an error whose message cannot be read'
  }
  return describeValue(thrown)
}

/**
 * Any value as one short line for people: text in quotes, of an object its first properties. Never throws. What a refusal
 * shows of an input is shorter: see `textOf` of the options.
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

/** The value itself when it is an `Error`, otherwise an `Error` that carries it as `cause`. Never throws. */
export function toError(thrown: unknown): Error {
  return isError(thrown) ? thrown : new Error(messageOf(thrown), { cause: thrown })
}

/** Whether it is an array. A proxy whose target is gone is none, and cannot be asked. */
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

/** Proves to the compiler that a switch is exhaustive; reaching it at run time is a programming fault. */
export function unreachable(value: never, what = 'case'): never {
  throw new StatewardError('unreachable', `unhandled ${what}: ${messageOf(value)}`, { value })
}
