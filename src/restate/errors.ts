import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'
import type { OperationId } from '../../machines/index.js'
import type { ProcessId } from '../processes/index.js'

/** Whom a wait is for. */
export type Awaited = { readonly processId: ProcessId } | { readonly operationId: OperationId }

/** Whom a wait is for, for messages. */
export function named(awaited: Awaited): string {
  return 'processId' in awaited ? `process \`${awaited.processId}\`` : `operation ${awaited.operationId}`
}

const messages = {
  /** The engine could not be reached, or broke off, for longer than it is waited for; that says nothing about the process. */
  'restate.unreachable': ({ target, reason }: { readonly target: string; readonly reason: string }) =>
    `Restate did not answer ${target}: ${reason}`,
  /** The connection was closed by its owner: nothing is asked over it any more, and that says nothing about the process. */
  'restate.connection_closed': ({ ingress }: { readonly ingress: string }) => `the connection to ${ingress} is closed`,
  /** The engine refused a call for a reason of its own. */
  'restate.call_failed': ({
    target,
    status,
    body,
  }: {
    readonly target: string
    readonly status: number
    readonly body: string
  }) => `Restate answered ${target} with status ${status}: ${body}`,
  /** The engine answered a wait with something else than what was waited for has come to. */
  'restate.attach_failed': ({ status, body, ...of }: Awaited & { readonly status: number; readonly body: string }) =>
    `the wait for ${named(of)} was answered with status ${status}: ${body}`,
  /** What the engine answered cannot be read as what a process or an operation comes to. */
  'restate.answer_malformed': ({ reason, ...of }: Awaited & { readonly reason: string }) =>
    `the wait for ${named(of)} was answered with something unreadable: ${reason}`,
  /** Retries are used up: nothing goes on before somebody resumes the invocation or kills it. */
  'restate.paused': ({
    invocationId,
    failure,
    ...of
  }: Awaited & { readonly invocationId: string; readonly failure: string }) =>
    `${named(of)} is paused as ${invocationId}: ${failure}`,
}

/** Data of every error of the engine, by code. */
export type RestateErrorData = ErrorDataOf<typeof messages>

/** Raised for what the engine does; what is refused by a rule is a `ProcessError` or an
 * `OperationError`, as in one process. Branch on `code`. */
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
  /** Another one has begun the work since, under a higher token; or nobody has under this one. */
  lease_superseded: ({ operationId, fencingToken }: OfClaim & { readonly fencingToken: number }) =>
    `operation ${operationId} is not held under the token ${fencingToken}`,
  /** It is bound to who has begun it, and this step of it was begun. */
  already_claimed: ({ operationId, owner }: OfClaim & { readonly owner: string }) =>
    `operation ${operationId} was begun already, by ${owner}`,
  attempts_exhausted: ({ operationId, maxAttempts }: OfClaim & { readonly maxAttempts: number }) =>
    `operation ${operationId} was begun ${maxAttempts} times already`,
}

/** Data of every {@link ClaimError}, by code. */
export type ClaimErrorData = ErrorDataOf<typeof claimMessages>

/** Raised for whoever may not work on an operation, or not any more: what one process never has to decide. Branch on `code`. */
export const ClaimError = defineErrors('ClaimError', claimMessages)

/** Who may not work on an operation. */
export type ClaimError<Code extends keyof ClaimErrorData = keyof ClaimErrorData> = StatewardError<
  Code,
  ClaimErrorData[Code]
>

/** True for the code of a {@link ClaimError}. */
export function isClaimCode(code: string): code is keyof ClaimErrorData {
  return Object.hasOwn(claimMessages, code)
}
