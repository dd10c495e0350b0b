/** The names of the services on the engine. */

/** One run of a process: a workflow under its id. */
export const processService = 'stateward_process'
/** The processes of one owner and their feed: an object under the owner's name. */
export const processesService = 'stateward_processes'
/** One run of the work of an operation: a workflow under its session and id. */
export const operationService = 'stateward_operation'
/** The operations of one session and their feed: an object under the session's name. */
export const sessionService = 'stateward_session'
/** Waits for feeds to grow and for operations to end. */
export const waitService = 'stateward_wait'

/** The objects that hold rows and a feed. */
export const feedServices = [processesService, sessionService] as const
export type FeedService = (typeof feedServices)[number]
