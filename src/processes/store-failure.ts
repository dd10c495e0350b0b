import { StatewardError } from '../base/errors.js'

/** Codes that say nothing about a process: the store is unavailable, or other writers were in the way. */
const passing: ReadonlySet<string> = new Set(['store.unavailable', 'store.conflict', 'store.closed'])

/** True for a failure of the store that may pass. */
export function isPassingFailure(failure: unknown): boolean {
  return StatewardError.is(failure) && passing.has(failure.code)
}

/**
 * True for a failure that says nothing about the data being written: any `store.*` error, and any error without a code
 * thrown by a store. A refusal of the data has another code.
 */
export function isFailureOfStore(failure: unknown): boolean {
  if (StatewardError.is(failure)) return failure.code.startsWith('store.')
  // Values that cannot be serialized.
  return !(failure instanceof TypeError || failure instanceof RangeError)
}
