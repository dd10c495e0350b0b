import { unreachable } from '../base/errors.js'
import type { PlannedTool } from './plan.js'

/** How a process ended. */
export interface ProcessEnd {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly timedOut: boolean
}

/** Why the end of a tool is not what the plan expects; `undefined` if it is. */
export function mismatchOf({ expect, timeoutMs }: PlannedTool, report: ProcessEnd): string | undefined {
  switch (expect.type) {
    case 'exit': {
      const expected = `exit code ${expect.exitCodes.join(' or ')}`
      if (report.timedOut) return `timed out after ${timeoutMs} ms instead of ending with ${expected}`
      const isExpected = report.exitCode !== null && expect.exitCodes.includes(report.exitCode)
      return isExpected ? undefined : `${endOf(report)} instead of ${expected}`
    }
    case 'timeout':
      return report.timedOut ? undefined : `${endOf(report)} instead of timing out after ${timeoutMs} ms`
    default:
      return unreachable(expect, 'expectation')
  }
}

/** Describes in words how a process ended. */
export function endOf({ exitCode, signal, timedOut }: ProcessEnd): string {
  if (timedOut) return 'timed out'
  return signal === null ? `ended with exit code ${exitCode}` : `was ended by ${signal}`
}
