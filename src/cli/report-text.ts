import { unreachable } from '../base/errors.js'
import { layoutFor, row, type Layout } from './layout.js'
import type { Paint } from './paint.js'
import type { RunReport, ToolResult } from './run-report.js'
import { count, duration, fit, plain, wrap } from './text.js'
import { endOf } from './verdict.js'

/** How many output lines of a tool with an unexpected end are shown. */
const shownLines = 20

/** How to print a report. */
export interface ReportTextOptions {
  readonly paint: Paint
  /** Width of a line in columns; unlimited if absent. */
  readonly columns?: number
  /** True if the results of all tools were already printed, line by line. */
  readonly isTold?: boolean
  /** Prints the ids of operations, of the wait and of its turn. */
  readonly withIds?: boolean
}

/** The results of a run, for people: how each tool ended, the output of failed tools, a total, and what to do next. */
export function reportText(report: RunReport, options: ReportTextOptions): string {
  const { paint, columns = Number.POSITIVE_INFINITY, isTold = false, withIds = false } = options
  const names = report.tools.map(({ name }) => name)
  const layout = layoutFor(names, columns)
  const lines = report.tools.flatMap((tool) => {
    const output = lastOutput(tool, columns).map((line) => paint('dim', line))
    const id = withIds && tool.operationId !== null ? [paint('dim', `    ${tool.operationId}`)] : []
    if (!isTold) return [...resultLines(tool, layout, paint), ...id, ...output]
    return output.length + id.length === 0 ? [] : [...wrap(`${tool.name}:`, columns), ...id, ...output]
  })
  const { obligation } = report
  if (withIds && obligation !== null) {
    lines.push(`wait request ${obligation.waitRequestId}`, `turn ${obligation.turnId}`)
  }
  const good = report.exitCode === 0
  for (const line of wrap(totalOf(report), columns)) lines.push(paint(good ? 'green' : 'red', line))
  lines.push(...report.hints.flatMap((hint) => wrap(hint, columns)))
  return lines.map((line) => `${line}\n`).join('')
}

function totalOf({ tools }: RunReport): string {
  const countOf = (status: ToolResult['status']): number => tools.filter((tool) => tool.status === status).length
  const skipped = countOf('skipped')
  const total = `${countOf('as_expected')} of ${count(tools.length, 'tool')} ended as the plan expects`
  return skipped === 0 ? total : `${total}, ${skipped} skipped`
}

/** The lines for the result of one tool, with a note. */
export function resultLines(tool: ToolResult, layout: Layout, paint: Paint, note = ''): string[] {
  const [mark, colour] = markOf(tool)
  const [first = '', ...rest] = row(layout, mark, tool.name, `${textOf(tool)} ${note}`.trim())
  return [paint(colour, first.slice(0, mark.length)) + first.slice(mark.length), ...rest]
}

function textOf({ status, process, reason, begun, attempt }: ToolResult): string {
  const time = process === null ? '' : duration(process.durationMs)
  const isPlain = process?.exitCode === 0 && !process.timedOut
  const end = status !== 'as_expected' ? plain(reason ?? '') : process === null || isPlain ? '' : endOf(process)
  const tries = attempt !== null && attempt > 1 ? `attempt ${attempt}` : ''
  const earlier = begun === 'before' ? 'in an earlier run' : ''
  return [end, time, tries, earlier].filter((part) => part !== '').join(', ')
}

function markOf({ status }: ToolResult): [string, Parameters<Paint>[0]] {
  switch (status) {
    case 'as_expected':
      return ['ok', 'green']
    case 'unexpected':
      return ['FAILED', 'red']
    case 'skipped':
      return ['skipped', 'dim']
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

function lastOutput({ status, process }: ToolResult, columns: number): string[] {
  if (status !== 'unexpected' || process === null) return []
  const lines = process.outputTail.split(/[\r\n]+/).filter((line) => line.trim() !== '')
  return lines.slice(-shownLines).map((line) => fit(`    | ${plain(line)}`, columns))
}
