import { unreachable } from '../base/errors.js'
import type { Paint } from './paint.js'
import type { RunReport, ToolResult } from './run-report.js'
import { count, duration, pad, plain, widthOf } from './text.js'
import { endOf } from './verdict.js'

/** Lines of output shown of a tool that ended differently from what the plan expects. */
const shownLines = 20

/** The outcomes and the obligation of a run, for people. */
export function reportText(report: RunReport, paint: Paint): string {
  const width = Math.max(...report.tools.map(({ name }) => widthOf(name)))
  const lines = report.tools.flatMap((tool) => [
    `${resultLine(tool, width, paint)}${tool.operationId === null ? '' : paint('dim', `  ${tool.operationId}`)}`,
    ...lastOutput(tool, paint),
  ])
  const { obligation } = report
  if (obligation !== null) {
    const { operationIds, waitRequestId, turnId } = obligation
    lines.push(`waited for ${count(operationIds.length, 'operation')}: wait request ${waitRequestId}, turn ${turnId}`)
  }
  const good = report.tools.filter(({ status }) => status === 'as_expected').length
  const summary = `${good} of ${count(report.tools.length, 'tool')} ended as the plan expects`
  lines.push(paint(report.exitCode === 0 ? 'green' : 'red', summary), ...report.hints)
  return lines.map((line) => `${line}\n`).join('')
}

/** One line about one tool. */
export function resultLine(tool: ToolResult, width: number, paint: Paint): string {
  const [mark, colour] = markOf(tool)
  const { process, reason, begun } = tool
  const end = reason ?? (process === null ? 'ended as expected' : endOf(process))
  const time = process === null ? '' : ` after ${duration(process.durationMs)}`
  const earlier = begun === 'before' ? ' (in an earlier run)' : ''
  return `${paint(colour, pad(mark, 11))}  ${pad(tool.name, width)}  ${plain(end)}${time}${earlier}`
}

function markOf({ status }: ToolResult): [string, Parameters<Paint>[0]] {
  switch (status) {
    case 'as_expected':
      return ['ok', 'green']
    case 'unexpected':
      return ['FAILED', 'red']
    case 'interrupted':
      return ['INTERRUPTED', 'yellow']
    case 'lost':
      return ['LOST', 'red']
    case 'not_started':
      return ['not started', 'yellow']
    default:
      return unreachable(status, 'tool status')
  }
}

function lastOutput({ status, process }: ToolResult, paint: Paint): string[] {
  if (status !== 'unexpected' || process === null) return []
  const lines = process.outputTail.split(/[\r\n]+/).filter((line) => line.trim() !== '')
  return lines.slice(-shownLines).map((line) => paint('dim', `    | ${plain(line)}`))
}
