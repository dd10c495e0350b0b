import type { JsonObject } from '../../base/json.js'
import type { EndedReport, ExitReport } from '../../work/children/exit-report.js'
import type { AwaitOutput } from '../output.js'

/** What a program that succeeded left behind, including the last of its output. */
export interface SystemResult {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly durationMs: number
  readonly stdoutBytes: number
  readonly stderrBytes: number
  readonly outputTail: string
  /** Why part of its output was not kept. */
  readonly outputFailure?: string
}

/** The outcome of an operating system process, by how it ended. */
export function outcomeOf(report: Exclude<ExitReport, { type: 'unasked' }>): AwaitOutput {
  if (report.type === 'not_started') {
    const { systemCode, message } = report
    return { type: 'failure', class: 'invalid_request', code: 'child_not_started', message, raw: { systemCode } }
  }
  const { exitCode, signal, timedOut } = report
  const raw = endOf(report)
  if (timedOut) return { type: 'failure', class: 'timeout', code: 'timed_out', message: 'ran into its time limit', raw }
  if (exitCode === 0) return { type: 'success', value: raw }
  return signal === null
    ? { type: 'failure', class: 'execution', code: 'exit_code', message: `exited with code ${exitCode}`, raw }
    : { type: 'failure', class: 'execution', code: 'exit_signal', message: `ended by ${signal}`, raw }
}

/** The outcome of a program that was asked to end. */
export function cancelledOutcome(report: EndedReport): AwaitOutput {
  return { type: 'cancelled', message: 'the process was cancelled', raw: endOf(report) }
}

/** The outcome of a program that ended without an exit report. */
export const exitUnknown: AwaitOutput = {
  type: 'failure',
  class: 'external',
  code: 'exit_unknown',
  message: 'it has ended, and nothing says how',
}

function endOf({
  exitCode,
  signal,
  durationMs,
  stdoutBytes,
  stderrBytes,
  outputTail,
  ...rest
}: EndedReport): JsonObject {
  const { outputFailure } = rest
  const result: SystemResult = {
    exitCode,
    signal,
    durationMs,
    stdoutBytes,
    stderrBytes,
    outputTail,
    ...(outputFailure !== null && { outputFailure }),
  }
  return { ...result }
}
