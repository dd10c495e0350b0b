import { unreachable } from '../base/errors.js'
import type { Paint } from './paint.js'
import { resultLine } from './report-text.js'
import type { RunEvent } from './run-events.js'
import { count, pad, plain, widthOf } from './text.js'

/** The lines that tell of an event, for people; none for progress that is shown in another way. */
export function eventLines(event: Exclude<RunEvent, { type: 'progress' }>, paint: Paint): string[] {
  switch (event.type) {
    case 'opened': {
      const { plan, toRun, concurrency, dataDir, before } = event
      const width = Math.max(0, ...before.map(({ name }) => widthOf(name)))
      const head = `plan ${plan}: ${count(toRun, 'tool')} to run, ${concurrency} at once, data in ${plain(dataDir)}`
      return [head, ...before.map((tool) => resultLine(tool, width, paint))]
    }
    case 'reaped':
      return reapedLines(event)
    case 'started':
      return [`${pad('start', 11)}  ${event.tool}`]
    case 'ended':
      return [resultLine(event.result, 0, paint)]
    case 'warning':
      return [paint('yellow', plain(event.message))]
    case 'stopping':
      return [
        event.how === 'retire'
          ? 'stopping: running tools are asked to end, press Ctrl-C again to kill them'
          : 'stopping: running tools are killed',
      ]
    default:
      return unreachable(event, 'run event')
  }
}

/** How far a tool is, as far as it says. */
export function progressText(message: string, percent: number | undefined): string {
  const share = percent === undefined ? '' : `${Math.round(percent * 100)}%`
  return [share, plain(message)].filter((part) => part !== '').join(' ')
}

function reapedLines({ tool, killed, leftPids }: Extract<RunEvent, { type: 'reaped' }>): string[] {
  const lines: string[] = []
  if (killed > 0) lines.push(`killed ${count(killed, 'process')} that an earlier run had left of ${plain(tool)}`)
  if (leftPids.length > 0) {
    lines.push(
      `an earlier run may have left processes of ${plain(tool)} that cannot be told or killed: ${leftPids.join(', ')}`,
    )
  }
  return lines
}
