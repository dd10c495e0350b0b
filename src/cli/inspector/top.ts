import { systemClock, type Clock } from '../../base/clock.js'
import { openSource } from '../../inspect/server/open-source.js'
import type { InspectorSource } from '../../inspect/sources/source.js'
import type { ListView, OverviewView } from '../../inspect/stream/protocol.js'
import { locateJournal } from '../directory/locate.js'
import { columnsOf, createPaint, wantsColour, type OutputTarget } from '../paint.js'
import { jsonLine } from '../text.js'
import { topLines } from './top-text.js'

/** Options of `stateward top`. */
export interface TopCommand {
  /** Address of an inspector, a data directory, or a recording file. */
  readonly target: string
  readonly json: boolean
}

/** Milliseconds between two screens. */
const pauseMs = 500
/** How many milliseconds the first screen waits for existing data. */
const firstMs = 2000
/** Rows of the list when the terminal does not state its height. */
const usualRows = 40

/**
 * Shows what is running: on a terminal as a screen that is redrawn until the signal aborts or the source ends,
 * otherwise once, as plain text.
 */
export async function top(
  { target, json }: TopCommand,
  output: OutputTarget,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<void> {
  await using source = await openSource({ target, values: false, locate: locateJournal, clock, signal })
  const isLive = output.isTTY === true && !json
  const paint = createPaint(wantsColour(output))
  let drawn = 0
  let drawnAt = Number.NEGATIVE_INFINITY
  let isFirst = true
  const draw = async (): Promise<void> => {
    const rows = isLive ? Math.max(1, (output.rows || 24) - 1) : usualRows
    const { overview, list } = await look(source, rows)
    if (json) return void output.write(`${jsonLine({ overview, rows: list.rows, total: list.total })}\n`)
    const lines = topLines(overview, list, { columns: columnsOf(output), rows, paint, nowMs: clock.wallNow() })
    // Print no more lines than the terminal has: scrolled lines cannot be erased.
    const erase = drawn === 0 ? '' : `\u001B[${drawn}F\u001B[0J`
    drawn = isLive ? lines.length : 0
    output.write(`${isLive ? erase : ''}${lines.map((line) => `${line}\n`).join('')}`)
  }
  const done = new AbortController()
  const over = AbortSignal.any([signal, done.signal])
  const startedAt = clock.monotonicNow()
  for await (const { type, json: text } of source.follow(undefined, over)) {
    const now = clock.monotonicNow()
    const isFilled = type === 'bye' || (type === 'changed' && text.includes('"list"')) || now - startedAt > firstMs
    if (isFirst && !isFilled) continue
    if (type !== 'bye' && now - drawnAt < pauseMs) continue
    await draw()
    drawnAt = now
    isFirst = false
    if (!isLive) done.abort()
    if (type === 'bye' || !isLive) return
  }
}

async function look(source: InspectorSource, rows: number): Promise<{ overview: OverviewView; list: ListView }> {
  const overview = (await source.view({ view: 'overview' })) as OverviewView
  const list = (await source.view({ view: 'list', limit: Math.min(500, Math.max(1, rows)) })) as ListView
  return { overview, list }
}
