import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'
import type { OperationId } from '../../machines/index.js'
import type { ProcessId } from '../processes/index.js'
import type { OperationPlace } from './keys.js'

/** What a wait is for. */
export type Awaited = { readonly processId: ProcessId } | OperationPlace

/** Names what a wait is for, in messages. */
export function named(awaited: Awaited): string {
  return 'processId' in awaited
    ? `process \`${awaited.processId}\``
    : `operation ${awaited.operationId} of session ${awaited.sessionId}`
}

const messages = {
  /**
   * The engine could not be reached, or the connection was broken, for longer than the call retries. This says nothing
   * about the process.
   */
  'restate.unreachable': ({ target, reason }: { readonly target: string; readonly reason: string }) =>
    `Restate did not answer ${target}: ${reason}`,
  /** The connection was closed by its owner, so no more calls are made. This says nothing about the process. */
  'restate.connection_closed': ({ ingress }: { readonly ingress: string }) => `the connection to ${ingress} is closed`,
  /** The engine refused a call for its own reasons. */
  'restate.call_failed': ({
    target,
    status,
    body,
  }: {
    readonly target: string
    readonly status: number
    readonly body: string
  }) => `Restate answered ${target} with status ${status}: ${body}`,
  /** The engine answered a wait with something other than a result. */
  'restate.attach_failed': ({ status, body, ...of }: Awaited & { readonly status: number; readonly body: string }) =>
    `the wait for ${named(of)} was answered with status ${status}: ${body}`,
  /** The engine's answer is not a valid output of a process or an operation. */
  'restate.answer_malformed': ({ reason, ...of }: Awaited & { readonly reason: string }) =>
    `the wait for ${named(of)} was answered with something unreadable: ${reason}`,
  /** The retries are used up. Nothing continues until the invocation is resumed or killed on the engine. */
  'restate.paused': ({
    invocationId,
    failure,
    ...of
  }: Awaited & { readonly invocationId: string; readonly failure: string }) =>
    `${named(of)} is paused as ${invocationId}: ${failure}`,
}

/** Data of every engine error, by code. */
export type RestateErrorData = ErrorDataOf<typeof messages>

/**
 * Thrown for failures of the engine. Refusals by a rule are a `ProcessError` or an `OperationError`, as within a single
 * Node process. Branch on `code`.
 */
export const RestateError = defineErrors('RestateError', messages)

/** An error of the engine. */
export type RestateError<Code extends keyof RestateErrorData = keyof RestateErrorData> = StatewardError<
  Code,
  RestateErrorData[Code]
>

interface OfClaim {
  readonly operationId: OperationId
}

const claimMessages = {
  /** Another worker has since started the work under a higher fencing token, or none has under this one. */
  lease_superseded: ({ operationId, fencingToken }: OfClaim & { readonly fencingToken: number }) =>
    `operation ${operationId} is not held under the token ${fencingToken}`,
  /** The operation is owner-bound and this step was already started. */
  already_claimed: ({ operationId, owner }: OfClaim & { readonly owner: string }) =>
    `operation ${operationId} was already started by ${owner}`,
  attempts_exhausted: ({ operationId, maxAttempts }: OfClaim & { readonly maxAttempts: number }) =>
    `operation ${operationId} was already started ${maxAttempts} times`,
}

/** Data of every {@link ClaimError}, by code. */
export type ClaimErrorData = ErrorDataOf<typeof claimMessages>

/**
 * Thrown if the caller may not work on an operation, or not any more. This cannot happen within a single Node process.
 * Branch on `code`.
 */
export const ClaimError = defineErrors('ClaimError', claimMessages)

/** The caller may not work on the operation. */
export type ClaimError<Code extends keyof ClaimErrorData = keyof ClaimErrorData> = StatewardError<
  Code,
  ClaimErrorData[Code]
>

/** True for the code of a {@link ClaimError}. */
export function isClaimCode(code: string): code is keyof ClaimErrorData {
  return Object.hasOwn(claimMessages, code)
}
