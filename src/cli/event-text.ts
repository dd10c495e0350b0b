import { unreachable } from '../base/errors.js'
import { row, type Layout } from './layout.js'
import type { Paint } from './paint.js'
import { resultLines } from './report-text.js'
import type { RunEvent } from './run-events.js'
import { count, duration, plain, wrap } from './text.js'

/** An event that is printed as permanent lines; progress is shown differently. */
export type LastingEvent = Exclude<RunEvent, { type: 'progress' }>

/** The lines for an event, for people; `note` is appended to the end of a tool. */
export function eventLines(event: LastingEvent, layout: Layout, paint: Paint, note = ''): string[] {
  const { columns } = layout
  switch (event.type) {
    case 'opened': {
      const { plan, toRun, concurrency, dataDir, before } = event
      const head = `plan ${plan}: ${count(toRun, 'tool')} to run, ${concurrency} at once, data in ${plain(dataDir)}`
      return [...wrap(head, columns), ...before.flatMap((tool) => resultLines(tool, layout, paint))]
    }
    case 'reaped':
      return reapedLines(event).flatMap((line) => wrap(line, columns))
    case 'started':
      return row(layout, 'start', event.tool, '')
    case 'retrying': {
      const { result, attempts, delayMs } = event
      const pause = delayMs === 0 ? '' : ` in ${duration(delayMs)}`
      const text = `${plain(result.reason ?? '')}; attempt ${(result.attempt ?? 0) + 1} of ${attempts}${pause}`
      return row(layout, 'again', result.name, text)
    }
    case 'ended':
      return resultLines(event.result, layout, paint, note)
    case 'warning':
      return [paint('yellow', plain(event.message))]
    case 'stopping':
      return wrap(
        event.how === 'retire'
          ? 'stopping: running tools are asked to end, press Ctrl-C again to kill them'
          : 'stopping: running tools are killed',
        columns,
      )
    default:
      return unreachable(event, 'run event')
  }
}

/** The text for a tool's progress. */
export function progressText(message: string, fraction: number | undefined): string {
  const share = fraction === undefined ? '' : `${Math.round(fraction * 100)}%`
  return [share, plain(message)].filter((part) => part !== '').join(' ')
}

function reapedLines({ tool, killed, leftPids }: Extract<RunEvent, { type: 'reaped' }>): string[] {
  const lines: string[] = []
  if (killed > 0) lines.push(`killed ${count(killed, 'process')} that an earlier run had left of ${plain(tool)}`)
  if (leftPids.length > 0) {
    lines.push(
      `an earlier run may have left processes of ${plain(tool)} that cannot be identified or killed: ${leftPids.join(', ')}`,
    )
  }
  return lines
}
