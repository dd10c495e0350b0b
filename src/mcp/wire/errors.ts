import { tasksExtension } from './names.js'

/** An error in JSON-RPC form. */
export interface WireError {
  readonly code: number
  readonly message: string
  readonly data?: unknown
}

/** The error codes that this door sends. */
export const errorCodes = { missingCapability: -32021, invalidParams: -32602, internal: -32603 } as const

/**
 * The answer for every missing task: one that never existed, was deleted, or belongs to another principal. Identical in
 * every byte, so that callers cannot tell which.
 */
export const unknownTask: WireError = Object.freeze({ code: errorCodes.invalidParams, message: 'Unknown task' })

/** The request needs the extension, but does not declare it. */
export const missingCapability: WireError = Object.freeze({
  code: errorCodes.missingCapability,
  message: 'Missing required client capability',
  data: { requiredCapabilities: { extensions: { [tasksExtension]: {} } } },
})

/** The request is invalid. */
export function invalidParams(message: string): WireError {
  return { code: errorCodes.invalidParams, message }
}

/** The request cannot be served now, or at all. Details are in the log. */
export function internalError(message: string, data?: unknown): WireError {
  return { code: errorCodes.internal, message, ...(data !== undefined && { data }) }
}
