/** Names in the protocol: the tasks extension of the Model Context Protocol, revision 2026-07-28. */

/** The name of the extension among capabilities. */
export const tasksExtension = 'io.modelcontextprotocol/tasks'

/** Where a request holds the capabilities of its client. */
export const clientCapabilitiesKey = 'io.modelcontextprotocol/clientCapabilities'

/** Where a notification names its subscription. */
export const subscriptionIdKey = 'io.modelcontextprotocol/subscriptionId'

/** The kinds of questions that a task may ask its client. */
export const questionMethods = ['elicitation/create', 'sampling/createMessage', 'roots/list'] as const
export type QuestionMethod = (typeof questionMethods)[number]

/** The kind of the processes behind tasks. */
export const mcpKind = 'mcp'

/** Types of events and signals in the log of such a process. */
export const questionType = 'mcp.input-requested'
export const statusType = 'mcp.status'
export const resultPartType = 'mcp.result-part'
/** The protocol error that the task is about to end with. */
export const faultType = 'mcp.fault'
/** The server itself ended an attempt, so it does not count against the work. */
export const setAsideType = 'mcp.set-aside'
export const answerSignal = 'mcp-input'
export const answerType = `signal.${answerSignal}`
