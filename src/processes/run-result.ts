import * as v from 'valibot'
import { errorDetailsOf, errorDetailsSchema } from '../base/error-details.js'
import type { SpanError } from '../work/job-span.js'
import { statusOfOutput, type AwaitOutput } from './output.js'
import type { TerminalProcessStatus } from './vocabulary.js'

/** What has become of a run. */
export type RunOutcome =
  /** It has ended its process so. */
  | TerminalProcessStatus
  /** It was told to stop, and the process goes on later. */
  | 'stopped'
  /** Somebody else holds the process, or has ended it. */
  | 'superseded'
  /** It could not be run, and is tried again. */
  | 'not_run'

/** How a run came to its end, for whoever watches. */
export interface RunResult {
  readonly outcome: RunOutcome
  /** There when that is a fault. */
  readonly error?: SpanError
}

/** A run that has ended its process. */
export function endedWith(output: AwaitOutput): RunResult {
  const error = faultOf(output)
  return { outcome: statusOfOutput(output), ...(error !== undefined && { error }) }
}

/** A run that could not be run. */
export function notRun(thrown: unknown): RunResult {
  const cause = errorDetailsOf(thrown)
  return { outcome: 'not_run', error: { message: cause.message, cause } }
}

/** What went wrong, where an end says so. */
export function faultOf(output: AwaitOutput): SpanError | undefined {
  switch (output.type) {
    case 'failure': {
      const { code: type, message, raw } = output
      const details = v.safeParse(errorDetailsSchema, raw)
      return { message, type, ...(details.success && { cause: details.output }) }
    }
    case 'abandoned': {
      const { writer: type } = output.evidence
      return { message: 'the process was given up', type }
    }
    case 'success':
    case 'cancelled':
      return undefined
  }
}
