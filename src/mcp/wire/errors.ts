import { tasksExtension } from './names.js'

/** An error as JSON-RPC writes it. */
export interface WireError {
  readonly code: number
  readonly message: string
  readonly data?: unknown
}

/** Codes of the errors that leave this door. */
export const errorCodes = { missingCapability: -32021, invalidParams: -32602, internal: -32603 } as const

/**
 * The one answer for what is not there: an id that never was, that was forgotten, and that belongs to somebody else. Equal in every
 * byte, so that nobody learns which of them it is.
 */
export const unknownTask: WireError = Object.freeze({ code: errorCodes.invalidParams, message: 'Unknown task' })

/** A request that does not declare the extension asked for something that is only there with it. */
export const missingCapability: WireError = Object.freeze({
  code: errorCodes.missingCapability,
  message: 'Missing required client capability',
  data: { requiredCapabilities: { extensions: { [tasksExtension]: {} } } },
})

/** What a request says does not fit. */
export function invalidParams(message: string): WireError {
  return { code: errorCodes.invalidParams, message }
}

/** It cannot be done now, or at all; what is wrong here is told to the log. */
export function internalError(message: string, data?: unknown): WireError {
  return { code: errorCodes.internal, message, ...(data !== undefined && { data }) }
}
