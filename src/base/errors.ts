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

  /** True for an error of any installed copy of stateward, optionally with this `code`. */
  static is<Code extends string>(value: unknown, code?: Code): value is StatewardError<Code> {
    if (typeof value !== 'object' || value === null || !(brand in value)) return false
    return code === undefined || (value as StatewardError).code === code
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

/** Text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** The value itself when it is an `Error`, otherwise an `Error` that carries it as `cause`. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown })
}

/** Proves to the compiler that a switch is exhaustive; reaching it at run time is a programming fault. */
export function unreachable(value: never, what = 'case'): never {
  throw new StatewardError('unreachable', `unhandled ${what}: ${String(value)}`, { value })
}
