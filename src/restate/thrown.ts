import { errorDetailsOf, errorOfDetails, type ErrorDetails } from '../base/error-details.js'
import { InvalidInputError, type InvalidInput } from '../base/errors.js'

/** What a step threw, as recorded: bounded, and read once, because reading it may throw or change. */
export interface Thrown {
  readonly error: ErrorDetails
  /** The data of a refusal of input, which stays one when it is thrown again. */
  readonly refused?: InvalidInput
}

/** Describes what was thrown. Never throws, whatever it is. */
export function thrownOf(thrown: unknown): Thrown {
  const error = errorDetailsOf(thrown)
  const refused = isThrown(thrown, InvalidInputError) ? refusalOf(thrown) : undefined
  return { error, ...(refused !== undefined && { refused }) }
}

/** The error to throw again. */
export function errorOf({ error, refused }: Thrown): Error {
  return refused === undefined ? errorOfDetails(error) : new InvalidInputError(refused)
}

/** `instanceof` for anything that code may throw: false for a value that cannot be asked. */
export function isThrown<Type>(thrown: unknown, type: abstract new (...args: never[]) => Type): thrown is Type {
  try {
    return thrown instanceof type
  } catch {
    return false
  }
}

/** The longest text of a recorded refusal. */
const longest = 8192

function refusalOf(thrown: InvalidInputError): InvalidInput | undefined {
  try {
    const { subject, field, reason } = thrown.data
    const isPlain = [subject, field, reason].every((text) => typeof text === 'string' && text.length <= longest)
    return isPlain ? { subject, field, reason } : undefined
  } catch {
    return undefined
  }
}
