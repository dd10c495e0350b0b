import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import type { StatewardError } from '../base/errors.js'
import type { ProcessId } from '../processes/index.js'

interface OfProcess {
  readonly processId: ProcessId
}

const messages = {
  /** The engine could not be reached, or broke off, for longer than it is waited for; that says nothing about the process. */
  'restate.unreachable': ({ target, reason }: { readonly target: string; readonly reason: string }) =>
    `Restate did not answer ${target}: ${reason}`,
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
  /** The engine answered the wait for a process with something else than what it has come to. */
  'restate.attach_failed': ({
    processId,
    status,
    body,
  }: OfProcess & { readonly status: number; readonly body: string }) =>
    `the wait for process \`${processId}\` was answered with status ${status}: ${body}`,
  /** What the engine answered cannot be read as what a process comes to. */
  'restate.answer_malformed': ({ processId, reason }: OfProcess & { readonly reason: string }) =>
    `the wait for process \`${processId}\` was answered with something unreadable: ${reason}`,
  /** Retries are used up: nothing goes on before somebody resumes the invocation or kills it. */
  'restate.paused': ({
    processId,
    invocationId,
    failure,
  }: OfProcess & { readonly invocationId: string; readonly failure: string }) =>
    `process \`${processId}\` is paused as ${invocationId}: ${failure}`,
}

/** Data of every error of processes on Restate, by code. */
export type RestateErrorData = ErrorDataOf<typeof messages>

/** Raised for what the engine does; what is refused by a rule is a `ProcessError`, as in one process. Branch on `code`. */
export const RestateError = defineErrors('RestateError', messages)

/** An error of processes on Restate. */
export type RestateError<Code extends keyof RestateErrorData = keyof RestateErrorData> = StatewardError<
  Code,
  RestateErrorData[Code]
>
