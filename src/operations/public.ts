/** What users of the package see of the operations room. */
export { longestLabel } from './admission.js'
export {
  isIdempotentRepeat,
  kindClasses,
  publicResultOf,
  type CompletionWakeClass,
  type ObservedStatus,
  type PublicResultClass,
} from './classification.js'
export type { CoreOptions, Inspect } from './core.js'
export { OperationError, WatchError, type OperationErrorCode, type OperationErrorData } from './errors.js'
export type { RegistryLimits } from './records.js'
export { OperationRegistry, type RegistryObserver } from './registry.js'
export * from './types.js'
export { WaitAll } from './wait-all.js'
export type { WireOperationsSnapshot } from './wire.js'
