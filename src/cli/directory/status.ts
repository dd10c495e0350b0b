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
  /** Shows it anew whenever it has changed, until the signal aborts. */
  readonly watch: boolean
  readonly json: boolean
}

/** Tells what a directory holds, live or dead, without being in its owner's way. */
export async function showStatus(
  { directory: named, watch, json }: StatusOptions,
  target: OutputTarget,
  signal: AbortSignal,
): Promise<void> {
  const directory = await locateJournal(named)
  let shown = ''
  for await (const _ of changesOf(directory, signal)) {
    const summary = summarize(await readDirectory({ directory }))
    const options = { columns: columnsOf(target), nowMs: Date.now() }
    const text = json ? `${jsonLine({ directory, ...summary })}\n` : statusText(directory, summary, options)
    if (text !== shown) target.write(watch && !json ? replacing(shown, text, target) : text)
    shown = text
    if (!watch) return
  }
}

/** On a terminal one picture takes the place of the other; elsewhere they follow one another. */
function replacing(before: string, text: string, { isTTY, rows }: OutputTarget): string {
  if (before === '') return text
  if (isTTY !== true) return `\n${text}`
  const lines = Math.min(before.split('\n').length - 1, (rows || 24) - 1)
  return `\u001B[${lines}F\u001B[0J${text}`
}
