/**
 * Tasks of the Model Context Protocol (`io.modelcontextprotocol/tasks`): tool calls that are answered at once with a
 * handle and whose work survives the server. See {@link createMcpTasks}.
 */
export type { McpTaskStatus } from '../../machines/mcp-task.js'
export { createMcpTasks, McpTasks, type McpTasksOptions } from './door.js'
export type { ToolDefinition } from './definition-tool.js'
export { McpError, type McpErrorCode, type McpErrorData } from './life/errors.js'
export type { McpTask } from './life/mcp-task.js'
export type { McpLimits } from './life/limits.js'
export type { TtlAction } from './life/retention.js'
export type { McpRecovery, TaskSupport } from './life/tool.js'
export { elicit, type RequestedForm } from './sdk/elicit.js'
export type { FetchFace } from './sdk/listen-http.js'
export type { Authorize, McpAction, McpRequest, Principal, PrincipalOf } from './sdk/request.js'
export type {
  ArgumentsOf,
  BeforeTask,
  DefinitionToolOptions,
  McpToolOptions,
  McpToolRun,
} from './sdk/tool-definition.js'
export type { QuestionMethod } from './wire/names.js'
export type { DetailedTask, InputRequest, TaskFault, ToolResult } from './wire/shapes.js'
