/**
 * `stateward/restate`: processes on a Restate server, so that workers on many hosts share them and one takes over from
 * another. For spread and takeover, not for speed.
 */
export { registerRestate, type RestateFault } from './admin.js'
export { RestateAttach, type AttachBounds, type RestateAttachOptions } from './attach.js'
export {
  connectRestate,
  RestateSession,
  type ConnectRestateOptions,
  type FollowOptions,
  type RestateConnection,
  type RestateHandle,
  type RestateProcess,
} from './connect.js'
export { RestateError, type RestateErrorData } from './errors.js'
export { serveRestate, type RestateWorker, type ServeRestateOptions } from './serve.js'
export type { Claim, FeedPage, SessionEnd, SettleRequest, Settled } from './wire.js'
