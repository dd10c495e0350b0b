import { StatewardError } from '../base/errors.js'

/** What says nothing about a process but that its store cannot be used now, or that others were in the way. */
const passing: ReadonlySet<string> = new Set(['store.unavailable', 'store.conflict', 'store.closed'])

/** True for a failure of the store that a later try may not meet. */
export function isPassingFailure(failure: unknown): boolean {
  return StatewardError.is(failure) && passing.has(failure.code)
}

/**
 * True for a failure that says nothing about what was to be written: any of the store, and what a store throws that types
 * no errors. What is refused for what it is has a code of another kind.
 */
export function isFailureOfStore(failure: unknown): boolean {
  if (StatewardError.is(failure)) return failure.code.startsWith('store.')
  // A value that cannot be sent.
  return !(failure instanceof TypeError || failure instanceof RangeError)
}
