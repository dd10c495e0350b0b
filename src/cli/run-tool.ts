import { resolve } from 'node:path'
import { operationVariable, type ProcessRecords } from '../work/children/process-records.js'
import { runChildProcess } from '../work/children/child-process.js'
import type { Clock } from '../base/clock.js'
import type { DeadlineQueue } from '../base/deadline-queue.js'
import { messageOf, StatewardError } from '../base/errors.js'
import type { WorkContext } from '../operations/execution.js'
import type { PlannedTool } from './plan.js'
import type { ToolProcessSummary } from './run-report.js'
import { OutputFile, outputVariable, type ToolOutputs } from './tool-outputs.js'
import { mismatchOf } from './verdict.js'

/** Options shared by all tools of a run. */
export interface ToolRunOptions {
  /** Directory that the directories in the plan are relative to. */
  readonly home: string
  readonly env: Readonly<NodeJS.ProcessEnv>
  readonly clock: Clock
  readonly deadlines: DeadlineQueue
  readonly graceMs: number
  readonly records: ProcessRecords
  /** Directory for the output files of tools. */
  readonly outputs: string
  /** Resolves once the start of the operation is durable. */
  readonly flush: () => Promise<void>
  /** Called when the process has ended, as expected or not. */
  readonly onEnd: (tool: PlannedTool, summary: ToolProcessSummary) => void
}

/** Raised with code `unexpected_exit` when a tool ends differently from what the plan expects. */
export class UnexpectedExitError extends StatewardError<'unexpected_exit', { readonly summary: ToolProcessSummary }> {
  override readonly name = 'UnexpectedExitError'
}

/** Raised with code `tool_interrupted` when a tool was asked to stop before it had ended. */
export class ToolInterruptedError extends StatewardError<'tool_interrupted', Record<string, never>> {
  override readonly name = 'ToolInterruptedError'
}

/**
 * The work of one operation: runs the tool's process, and returns its summary if it ended as expected.
 *
 * Raises `unexpected_exit`, `tool_interrupted` and `child_not_started`.
 */
export async function runTool(
  tool: PlannedTool,
  context: WorkContext,
  options: ToolRunOptions,
): Promise<ToolProcessSummary> {
  const { home, env, records, outputs, flush, onEnd, ...timing } = options
  const { id, signal, retiring } = context
  // Otherwise, after a crash, a later run would not know that the tool was started, and would start it again without
  // being asked.
  await flush()
  if (retiring.aborted || signal.aborted) throw interrupted()
  using record = records.open(id)
  using outputFile = new OutputFile(outputs, id)
  const { command, args, timeoutMs } = tool
  const report = await runChildProcess(
    {
      command,
      args,
      cwd: resolve(home, tool.cwd),
      env: { ...env, ...tool.env, [operationVariable]: id, [outputVariable]: outputFile.path },
      ...(timeoutMs !== undefined && { timeoutMs }),
    },
    {
      ...timing,
      signal,
      retiring,
      onStarted: (pid) => record.started(pid),
      onLine: (line) => reportProgress(tool, line, context),
    },
  )
  const { interrupted: wasInterrupted, ...end } = report
  const summary: ToolProcessSummary = { ...end, outputs: {} }
  onEnd(tool, summary)
  if (wasInterrupted) throw interrupted()
  const reason = mismatchOf(tool, report)
  if (reason !== undefined) throw new UnexpectedExitError('unexpected_exit', reason, { summary })
  return { ...summary, outputs: readOutputs(outputFile, summary) }
}

function readOutputs(file: OutputFile, summary: ToolProcessSummary): ToolOutputs {
  try {
    return file.read()
  } catch (cause) {
    throw new UnexpectedExitError('unexpected_exit', messageOf(cause), { summary }, { cause })
  }
}

function interrupted(): ToolInterruptedError {
  return new ToolInterruptedError('tool_interrupted', 'was asked to end', {})
}

function reportProgress(tool: PlannedTool, line: string, context: WorkContext): void {
  const progress = progressIn(tool, line)
  if (progress !== undefined) context.progress(progress.message, progress.fraction)
}

/** The progress that a line of output reports, by the pattern of the tool. `fraction` is from 0 to 1. */
export function progressIn(
  { progress }: PlannedTool,
  line: string,
): { readonly message: string; readonly fraction: number | undefined } | undefined {
  const groups = progress?.pattern.exec(line)?.groups
  if (groups === undefined) return undefined
  const percent = Number.parseFloat(groups['percent'] ?? '')
  const fraction = Number.isFinite(percent) ? Math.min(1, Math.max(0, percent / 100)) : undefined
  return { message: groups['message'] ?? '', fraction }
}
