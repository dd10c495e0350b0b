import * as v from 'valibot'
import { defineErrors, type ErrorDataOf } from '../base/define-errors.js'
import { errorDetailsSchema, errorOfDetails } from '../base/error-details.js'
import type { StatewardError } from '../base/errors.js'
import type { AwaitOutput, NoLongerRetained } from './output.js'
import type { ProcessId } from './scalars.js'

interface Ended<Output> {
  readonly processId: ProcessId
  readonly output: Output
}

type Of<Type extends AwaitOutput['type']> = Extract<AwaitOutput, { readonly type: Type }>

const messages = {
  /** The process failed. The error, possibly thrown on another host, is the `cause`. */
  'process.failed': ({ processId, output }: Ended<Of<'failure'>>) =>
    `process \`${processId}\` failed: ${output.message}`,
  'process.cancelled': ({ processId }: Ended<Of<'cancelled'>>) => `process \`${processId}\` was cancelled`,
  /** The process was abandoned. The evidence says by whom and why. */
  'process.abandoned': ({ processId, output }: Ended<Of<'abandoned'>>) =>
    `process \`${processId}\` was given up: ${output.evidence.writer}`,
  /** The process has ended and its result was pruned. */
  'process.no_longer_retained': ({ processId, output }: Ended<NoLongerRetained>) =>
    `process \`${processId}\` is ${output.terminalLabel}, and no longer retained since ${output.prunedAtMs}`,
}

/** Data of a {@link ProcessFailed}, by code. */
export type ProcessFailureData = ErrorDataOf<typeof messages>

/** Thrown if a process ended without a result. Branch on `code`. */
export const ProcessFailed = defineErrors('ProcessFailed', messages)

/** A process has ended without a result. */
export type ProcessFailed<Code extends keyof ProcessFailureData = keyof ProcessFailureData> = StatewardError<
  Code,
  ProcessFailureData[Code]
>

/** The error for a caller that asks for the result of a process without one. */
export function failedOf(processId: ProcessId, output: Exclude<AwaitOutput, Of<'success'>> | NoLongerRetained): Error {
  switch (output.type) {
    case 'failure': {
      const details = v.safeParse(errorDetailsSchema, output.raw)
      const options = details.success ? { cause: errorOfDetails(details.output) } : undefined
      return new ProcessFailed('process.failed', { processId, output }, options)
    }
    case 'cancelled':
      return new ProcessFailed('process.cancelled', { processId, output })
    case 'abandoned':
      return new ProcessFailed('process.abandoned', { processId, output })
    case 'no_longer_retained':
      return new ProcessFailed('process.no_longer_retained', { processId, output })
  }
}
