import { defineErrors, type ErrorDataOf } from '../../base/define-errors.js'

const messages = {
  // A tool with this name already exists.
  mcp_tool_defined: ({ tool }: { readonly tool: string }) => `the tool ${tool} is already defined`,
  // The server already had tools when the door was attached.
  mcp_attached_too_late: () => 'attach the door before the first tool is registered on the server',
  // The principal of the request is unknown.
  mcp_principal_failed: () => 'the principal of the request could not be determined',
  // The service's `authorize` refused.
  mcp_not_authorized: ({ action }: { readonly action: string }) => `not allowed: ${action}`,
  // The caller has no such task.
  mcp_task_unknown: () => 'Unknown task',
  // The task has ended and can no longer change.
  mcp_task_ended: ({ taskId }: { readonly taskId: string }) => `task ${taskId} has ended`,
  // The task is run here and ends by itself.
  mcp_task_not_external: ({ taskId }: { readonly taskId: string }) =>
    `task ${taskId} does not belong to an external tool`,
  // The door is closed.
  mcp_closed: () => 'the MCP door is closed',
  // `dedupe` returned something that is not a key.
  mcp_key_invalid: ({ tool }: { readonly tool: string }) => `dedupe of ${tool} must return a string or undefined`,
  // A limit is reached. A later call may succeed.
  mcp_limit_reached: ({
    limit,
    most,
  }: {
    readonly limit: string
    readonly most: number
    readonly retryAfterMs?: number
  }) => `too many: the limit ${limit} is ${most}`,
  // A value is larger than its limit.
  mcp_too_large: ({ limit, bytes, most }: { readonly limit: string; readonly bytes: number; readonly most: number }) =>
    `${bytes} bytes exceed the limit ${limit} of ${most}`,
  // An answer does not have the shape that its question requires.
  mcp_answer_invalid: ({ key }: { readonly key: string }) => `the answer to ${key} does not fit its question`,
  // The client has not declared support for this kind of question.
  mcp_question_unsupported: ({ method }: { readonly method: string }) => `the client does not support ${method}`,
  // The key already belongs to another question of the task.
  mcp_question_reused: ({ key }: { readonly key: string }) => `the key ${key} was used for another question`,
  // The task ended with a protocol error.
  mcp_task_failed: ({ message }: { readonly message: string }) => message,
}

/** Data of this door's errors, by code. */
export type McpErrorData = ErrorDataOf<typeof messages>

/** The stable codes of this door's errors. */
export type McpErrorCode = keyof McpErrorData

/** Thrown by the Model Context Protocol door. */
export const McpError = defineErrors('McpError', messages)
