/** Words of the wire: the tasks extension of the Model Context Protocol, revision 2026-07-28. */

/** Names the extension among capabilities. */
export const tasksExtension = 'io.modelcontextprotocol/tasks'

/** Where the envelope of a request holds what its client can do. */
export const clientCapabilitiesKey = 'io.modelcontextprotocol/clientCapabilities'

/** Where a notification says which stream it belongs to. */
export const subscriptionIdKey = 'io.modelcontextprotocol/subscriptionId'

/** What a task may ask its client for. */
export const questionMethods = ['elicitation/create', 'sampling/createMessage', 'roots/list'] as const
export type QuestionMethod = (typeof questionMethods)[number]

/** The kind of the processes that tasks are. */
export const mcpKind = 'mcp'

/** Events and signals in the log of such a process. */
export const questionType = 'mcp.input-requested'
export const statusType = 'mcp.status'
export const resultPartType = 'mcp.result-part'
/** The error of the protocol that the task is about to end with. */
export const faultType = 'mcp.fault'
/** An attempt was ended by the server itself, which is no fault of the work. */
export const setAsideType = 'mcp.set-aside'
export const answerSignal = 'mcp-input'
export const answerType = `signal.${answerSignal}`
