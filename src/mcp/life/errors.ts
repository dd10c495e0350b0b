import { defineErrors, type ErrorDataOf } from '../../base/define-errors.js'

const messages = {
  // A tool of this name is there already.
  mcp_tool_defined: ({ tool }: { readonly tool: string }) => `the tool ${tool} is already defined`,
  // A server had tools before the door was attached to it.
  mcp_attached_too_late: () => 'attach the door before the first tool is registered on the server',
  // The principal of a request could not be told.
  mcp_principal_failed: () => 'the principal of the request could not be determined',
  // The service does not allow it.
  mcp_not_authorized: ({ action }: { readonly action: string }) => `not allowed: ${action}`,
  // There is no such task for whoever asks.
  mcp_task_unknown: () => 'Unknown task',
  // The task has ended, and an end is final.
  mcp_task_ended: ({ taskId }: { readonly taskId: string }) => `task ${taskId} has ended`,
  // It is run here, and ends by itself.
  mcp_task_not_external: ({ taskId }: { readonly taskId: string }) =>
    `task ${taskId} does not belong to an external tool`,
  // The door was closed.
  mcp_closed: () => 'the MCP door is closed',
  // What `dedupe` has returned is no key.
  mcp_key_invalid: ({ tool }: { readonly tool: string }) => `dedupe of ${tool} must return a string or undefined`,
  // Nothing more fits now; a later call may do.
  mcp_limit_reached: ({
    limit,
    most,
  }: {
    readonly limit: string
    readonly most: number
    readonly retryAfterMs?: number
  }) => `too many: the limit ${limit} is ${most}`,
  // It is larger than the limit says.
  mcp_too_large: ({ limit, bytes, most }: { readonly limit: string; readonly bytes: number; readonly most: number }) =>
    `${bytes} bytes exceed the limit ${limit} of ${most}`,
  // An answer has not the shape that its question asks for.
  mcp_answer_invalid: ({ key }: { readonly key: string }) => `the answer to ${key} does not fit its question`,
  // The client has not declared that it can be asked for this.
  mcp_question_unsupported: ({ method }: { readonly method: string }) => `the client does not support ${method}`,
  // A key names one question for the whole life of a task.
  mcp_question_reused: ({ key }: { readonly key: string }) => `the key ${key} was used for another question`,
  // What a task ends with as an error of the protocol.
  mcp_task_failed: ({ message }: { readonly message: string }) => message,
}

/** Data of this door's errors, by code. */
export type McpErrorData = ErrorDataOf<typeof messages>

/** The stable codes of this door's errors. */
export type McpErrorCode = keyof McpErrorData

/** Thrown by the Model Context Protocol door. */
export const McpError = defineErrors('McpError', messages)
