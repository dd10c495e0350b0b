import type { Counts, ItemPhase, ItemRow, ListView, OverviewView } from '../../inspect/stream/protocol.js'
import type { Paint } from '../paint.js'
import { bar, duration, fit, pad, plain, widthOf } from '../text.js'

/** How to draw a screen. */
export interface TopLayout {
  /** Width of a line in columns; unlimited if the output does not state one. */
  readonly columns: number
  /** Maximum number of lines. */
  readonly rows: number
  readonly paint: Paint
  /** The current time, in epoch milliseconds. */
  readonly nowMs: number
}

const phases: readonly ItemPhase[] = ['running', 'waiting', 'ending', 'completed', 'failed', 'cancelled', 'lost']
const colours: Readonly<Partial<Record<ItemPhase, 'green' | 'red' | 'yellow' | 'dim'>>> = {
  running: 'green',
  waiting: 'yellow',
  failed: 'red',
  lost: 'red',
  completed: 'dim',
  cancelled: 'dim',
}

/** Width in columns when the output does not state one. */
const usualColumns = 120
const barColumns = 12
const ageColumns = 12
const phaseColumns = 9

/** One screen: totals, then the items, most recently changed first. Names are made safe to print. */
export function topLines(overview: OverviewView, list: ListView, layout: TopLayout): readonly string[] {
  const { rows, paint } = layout
  const columns = Math.min(layout.columns, usualColumns)
  const head = [...totals(overview), `${list.total} items`].map((line) => fit(line, columns))
  const room = Math.max(0, rows - head.length - 1)
  const nameColumns = Math.max(12, columns - phaseColumns - ageColumns - 24)
  const lines = list.rows.slice(0, room).map((row) => rowLine(row, layout, columns, nameColumns))
  return [...head, paint('dim', '-'.repeat(Math.min(columns, 60))), ...lines]
}

function totals({
  operations,
  tasks,
  processes,
  jobs,
  questions,
  barriers,
  journal,
  stream,
  samples,
  notice,
}: OverviewView): string[] {
  const last = samples.at(-1)
  const rate = last === undefined ? '' : `, ${last.started} started and ${last.ended} ended in the last second`
  const at = journal === undefined ? 'no journal' : `journal ${plain(journal.status)}, at ${journal.nextSequence - 1}`
  return [
    `operations ${countsText(operations)}`,
    ...(tasks === undefined ? [] : [`tasks ${countsText(tasks)}${tasks.isPaused ? ', dispatch is paused' : ''}`]),
    ...(processes === undefined ? [] : [`processes ${countsText(processes)}`]),
    `${jobs} jobs${rate}; ${questions} questions, ${barriers} barriers; ${at}; ${stream.dropped} dropped`,
    ...(notice === undefined ? [] : [plain(notice)]),
  ]
}

function countsText({ phases: counts }: Counts): string {
  const texts = phases.flatMap((phase) => (counts[phase] === undefined ? [] : `${counts[phase]} ${phase}`))
  return texts.length === 0 ? 'none' : texts.join(', ')
}

function rowLine(row: ItemRow, { paint, nowMs }: TopLayout, columns: number, nameColumns: number): string {
  const { phase, name, kind, startedAtMs, createdAtMs, endedAtMs, progress, waitsFor, error } = row
  const since = startedAtMs ?? createdAtMs
  const age = since === undefined ? '' : duration(Math.max(0, (endedAtMs ?? nowMs) - since))
  const said = plain(error ?? waitsFor ?? progress?.message ?? kind)
  const done = progress?.fraction === undefined ? '' : `${bar(progress.fraction, barColumns)} `
  const colour = colours[phase]
  const mark = pad(phase, phaseColumns)
  const head = `${pad(fit(plain(name), nameColumns), nameColumns)} ${pad(age, ageColumns)}`
  const text = fit(`${head} ${done}${said}`.trimEnd(), Math.max(1, columns - widthOf(mark) - 1))
  return `${colour === undefined ? mark : paint(colour, mark)} ${text}`
}
