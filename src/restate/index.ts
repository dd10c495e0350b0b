/**
 * `stateward/restate`: processes and operations on a Restate server, so that workers on many hosts share them and take
 * over from each other. It is for distribution and takeover, not for speed.
 */
export { registerRestate, type RestateFault } from './admin.js'
export { Attach, RestateAttach, type AttachBounds, type AttachOptions, type AttachTarget } from './attach.js'
export { connectRestate, type ConnectRestateOptions, type RestateConnection } from './connect.js'
export {
  ClaimError,
  RestateError,
  type Awaited as RestateAwaited,
  type ClaimErrorData,
  type RestateErrorData,
} from './errors.js'
export type { RestateOperation } from './held-operation.js'
export {
  defineOperation,
  type OperationDefinition,
  type OperationOptions,
  type OperationRunContext,
  type OperationStepScope,
} from './operation-definition.js'
export { RestateProcesses, type FollowFeedOptions, type RestateHandle } from './processes.js'
export type { RestateProcess } from './process-picture.js'
export { RestateProcessStore } from './process-store.js'
export { serveRestate, type RestateWorker, type ServeRestateOptions } from './serve.js'
export {
  RestateOperationHandle,
  RestateSession,
  type RestateNamedRunOptions,
  type RestateResultsOf,
  type RestateRunOptions,
} from './session.js'
export { RestateFeed } from './session-feed.js'
export { RestateOperations, type UnderClaim } from './session-operations.js'
export type { Claim, FeedPage, ProcessEnd, SettleRequest, Settled } from './wire.js'
