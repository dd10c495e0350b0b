/** The public API of operations. */
export { longestLabel } from './admission.js'
export {
  completionWakeClasses,
  isIdempotentRepeat,
  kindClasses,
  publicResultClasses,
  publicResultOf,
  type CompletionWakeClass,
  type ObservedStatus,
  type PublicResultClass,
} from './classification.js'
export type { CompletionAuthority } from './completions.js'
export type { Inspect } from '../base/inspection.js'
export type { CoreOptions } from './core.js'
export {
  OperationError,
  TurnRefusedError,
  WaitDisposedError,
  WatchError,
  type OperationErrorCode,
  type OperationErrorData,
  type TurnRefusal,
} from './errors.js'
export { OperationEndedError, type Work, type WorkContext } from './execution.js'
export { IdleWake, type ContinuationInput, type IdleWakeHost, type IdleWakeOptions } from './idle-wake.js'
export type { RegistryLimits, SessionLimits } from './limits.js'
export { OperationFailed, type FailedOutcome } from './operation-failed.js'
export { OperationHandle, type OperationCancelAnswer } from './operation-handle.js'
export type { RunOptions, RunRequest } from './run-request.js'
export type { Report } from '../work/report-stream.js'
export type { OperationReader } from './reader.js'
export { OperationRegistry } from './registry.js'
export type { RegistryObserver } from './registry-observer.js'
export type { Session } from './session.js'
export { sessionSelectors, type OperationView, type SessionView, type SessionViewContext } from './session-view.js'
export { operationsSystem, type OperationsSystem, type OperationsWait } from './system.js'
export {
  TurnBoundary,
  type BackgroundNotice,
  type BoundaryDelivery,
  type Enrichment,
  type TurnBoundaryOptions,
} from './turn-boundary.js'
export { Turn, type TurnOptions, type TurnState } from './turn.js'
export * from './types.js'
export { WaitAll } from './wait-all.js'
export type { WireOperationsSnapshot } from './export.js'
