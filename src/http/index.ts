/** Serves a runtime over HTTP. Start with {@link createHttpHandler}. */
export { replyToError } from './errors.js'
export { followFeed, type FollowedFeed } from './completions.js'
export { createHttpHandler, runtimeRoutes, type HttpHandler, type HttpHandlerOptions } from './handler.js'
export type { HttpCall, HttpEvent, HttpReply, HttpRequest, HttpRoute } from './route.js'
export { describeOperation, operationIdOf, sessionOf } from './session-routes.js'
export { taskIdOf } from './task-routes.js'
