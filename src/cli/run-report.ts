import * as v from 'valibot'
import type { OperationId, OperationOutcome, WaitAllSatisfied } from '../../machines/operation-vocabulary.js'
import { decodeJson } from '../base/decode.js'
import { unreachable } from '../base/errors.js'
import type { JournalCut } from '../journal/journal.js'
import { count, plain } from './text.js'
import type { ToolOutputs } from './tool-outputs.js'

/** The final status of a tool. */
export type ToolStatus = 'as_expected' | 'unexpected' | 'skipped' | 'interrupted' | 'lost' | 'not_started'

/** How a tool's process ended. */
export interface ToolProcessSummary {
  readonly exitCode: number | null
  readonly signal: string | null
  readonly timedOut: boolean
  readonly durationMs: number
  readonly outputBytes: number
  /** The last output of both streams. */
  readonly outputTail: string
  /** Outputs for tools that need this one; empty unless it ended as expected. */
  readonly outputs: ToolOutputs
}

/** The result of one tool. */
export interface ToolResult {
  readonly name: string
  readonly status: ToolStatus
  /** The run that started it: this one or an earlier one; `null` for a tool that was never started. */
  readonly begun: 'now' | 'before' | null
  readonly operationId: OperationId | null
  /** The attempt, from 1; `null` for a tool that was never started. */
  readonly attempt: number | null
  /** Why the status is not `as_expected`. */
  readonly reason: string | null
  /** `null` when unknown: only ends that the plan expects are kept in full for later runs. */
  readonly process: ToolProcessSummary | null
}

/** The result of a run, as `--json` prints it. */
export interface RunReport {
  readonly plan: string
  readonly session: string
  readonly dataDir: string
  readonly exitCode: 0 | 1
  /** What was cut from the end of the journal when it was opened; `null` for nothing. */
  readonly cut: JournalCut | null
  /** In the order of the plan. */
  readonly tools: readonly ToolResult[]
  /** The obligation of the satisfied wait; `null` when the run did not get to wait. */
  readonly obligation: WaitAllSatisfied | null
  /** What to do next, if anything. */
  readonly hints: readonly string[]
}

const maxContentBytes = 1024 * 1024

const summarySchema = v.object({
  exitCode: v.nullable(v.number()),
  signal: v.nullable(v.string()),
  timedOut: v.boolean(),
  durationMs: v.number(),
  outputBytes: v.number(),
  outputTail: v.string(),
  outputs: v.record(v.string(), v.string()),
})

/** An operation that ran a tool. */
export interface ToolRun {
  readonly name: string
  readonly begun: 'now' | 'before'
  readonly operationId: OperationId
  readonly attempt: number
}

/** The result recorded by the end of a tool's operation. Raises `invalid_input` for a result that no tool wrote. */
export function resultOf(run: ToolRun, outcome: OperationOutcome, known?: ToolProcessSummary): ToolResult {
  const result = { ...run, reason: null, process: known ?? null }
  switch (outcome.type) {
    case 'completed': {
      const subject = `result of tool ${run.name}`
      const process = decodeJson(summarySchema, outcome.result.content, { subject, maxBytes: maxContentBytes })
      return { ...result, status: 'as_expected', process }
    }
    case 'failed':
      return { ...result, status: 'unexpected', reason: outcome.error }
    case 'retired':
      return { ...result, status: 'interrupted', reason: 'was asked to end' }
    case 'terminated':
    case 'cancelled':
    case 'aborted':
      return { ...result, status: 'interrupted', reason: outcome.reason ?? outcome.type }
    default:
      return unreachable(outcome, 'outcome')
  }
}

/** The reported result of a tool that was not run. */
export function resultWithoutRun(
  name: string,
  status: 'skipped' | 'not_started' | 'unexpected',
  reason: string,
): ToolResult {
  return { name, status, begun: null, operationId: null, attempt: null, reason, process: null }
}

/** The report of a run, with its exit code and hints. */
export function reportOf(run: Omit<RunReport, 'exitCode' | 'hints'>): RunReport {
  const countOf = (status: ToolStatus): number => run.tools.filter((tool) => tool.status === status).length
  const unfinished = countOf('lost') + countOf('interrupted')
  const failed = countOf('unexpected')
  const notStarted = countOf('not_started')
  const hints: string[] = []
  // A torn write was never acknowledged, so nothing is lost; the log mentions it.
  if (run.cut !== null && run.cut.cause !== 'torn_write') hints.push(lossHint(run.cut))
  if (unfinished > 0) {
    hints.push(
      `${count(unfinished, 'tool')} did not finish: --resume runs what is left, --fresh forgets all and starts over`,
    )
  }
  if (failed > 0) {
    const again = failed === 1 ? 'runs it again' : 'runs them again'
    hints.push(
      `${count(failed, 'tool')} failed: --retry-failed ${again}, and then what needs ${failed === 1 ? 'it' : 'them'}`,
    )
  } else if (unfinished === 0 && notStarted > 0) {
    hints.push(`${count(notStarted, 'tool')} not started: run again to continue`)
  }
  const exitCode = run.tools.every(({ status }) => status === 'as_expected' || status === 'skipped') ? 0 : 1
  return { ...run, exitCode, hints }
}

function lossHint({ file, offset, sequence, keptIn }: JournalCut): string {
  const kept = keptIn === undefined ? '' : `, its bytes are in ${plain(keptIn)}`
  return `the journal has lost its records from ${sequence} on (${plain(file)} at ${offset}${kept}): ends of tools may be forgotten`
}
