import * as v from 'valibot'
import { errorDetailsOf, errorDetailsSchema } from '../base/error-details.js'
import type { SpanError } from '../work/job-span.js'
import { statusOfOutput, type AwaitOutput } from './output.js'
import type { TerminalProcessStatus } from './vocabulary.js'

/** How a run ended. */
export type RunOutcome =
  /** The process ended with this status. */
  | TerminalProcessStatus
  /** The run was told to stop. The process continues later. */
  | 'stopped'
  /** Another holder has the process, or has ended it. */
  | 'superseded'
  /** The process could not be run and is tried again. */
  | 'not_run'

/** How a run ended, for spans and metrics. */
export interface RunResult {
  readonly outcome: RunOutcome
  /** Set if the outcome is a fault. */
  readonly error?: SpanError
}

/** The result of a run that ended its process. */
export function endedWith(output: AwaitOutput): RunResult {
  const error = faultOf(output)
  return { outcome: statusOfOutput(output), ...(error !== undefined && { error }) }
}

/** The result of a run that could not execute its process. */
export function notRun(thrown: unknown): RunResult {
  const cause = errorDetailsOf(thrown)
  return { outcome: 'not_run', error: { message: cause.message, cause } }
}

/** The error in an outcome, if there is one. */
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
