import { readDirectory } from '../../directory-state.js'
import { summarize } from '../../directory-summary.js'
import { columnsOf, type OutputTarget } from '../paint.js'
import { jsonLine } from '../text.js'
import { changesOf } from './changes.js'
import { locateJournal } from './locate.js'
import { statusText } from './status-text.js'

/** Options of `stateward status`. */
export interface StatusOptions {
  readonly directory: string
  /** Prints again after every change, until the signal aborts. */
  readonly watch: boolean
  readonly json: boolean
}

/** Prints what a directory holds, whether it is in use or not, without disturbing its owner. */
export async function showStatus(
  { directory: named, watch, json }: StatusOptions,
  target: OutputTarget,
  signal: AbortSignal,
): Promise<void> {
  const directory = await locateJournal(named)
  let shown = ''
  for await (const _ of changesOf(directory, signal)) {
    const summary = await summarize(await readDirectory({ directory }))
    const options = { columns: columnsOf(target), nowMs: Date.now() }
    const whole = json ? `${jsonLine({ directory, ...summary })}\n` : statusText(directory, summary, options)
    const inPlace = watch && !json && target.isTTY === true
    const text = inPlace ? firstLines(whole, (target.rows || 24) - 1) : whole
    if (text !== shown) target.write(inPlace ? replacing(shown, text) : text)
    shown = text
    if (!watch) return
  }
}

/** Cuts the text to the terminal's height: scrolled lines cannot be erased. */
function firstLines(text: string, rows: number): string {
  return text.split('\n', rows).join('\n').replace(/\n?$/, '\n')
}

/** The text with control sequences that replace the text printed before. */
function replacing(before: string, text: string): string {
  const lines = before.split('\n').length - 1
  return lines === 0 ? text : `\u001B[${lines}F\u001B[0J${text}`
}
