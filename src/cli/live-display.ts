import type { Clock } from '../base/clock.js'
import { DeadlineQueue, type Deadline } from '../base/deadline-queue.js'
import { eventLines, progressText } from './event-text.js'
import { layoutFor } from './layout.js'
import type { OutputTarget, Paint } from './paint.js'
import type { RunEvent } from './run-events.js'
import { RunTotal } from './run-total.js'
import { bar, duration, fit, pad, widthOf } from './text.js'

/** Milliseconds between two redraws. */
const pauseMs = 100
/** Milliseconds after which running times are redrawn even if nothing has happened. */
const idleMs = 1000

/** Width of a bar as a share of the terminal's, within limits. */
const barShare = 0.2
const narrowestBar = 8
const widestBar = 22

interface Row {
  readonly startedAt: number
  /** The tool's progress from 0 to 1, if it reports any. */
  fraction: number | undefined
  text: string
}

/**
 * Shows a run on a terminal: past events scroll by, and a block below them shows what is running, redrawn in place. No
 * line of the block is wider than the terminal, since a wrapped line could not be erased.
 */
export class LiveDisplay implements Disposable {
  readonly #target: OutputTarget
  readonly #paint: Paint
  readonly #clock: Clock
  readonly #deadlines: DeadlineQueue
  readonly #rows = new Map<string, Row>()
  readonly #total = new RunTotal()
  /** How many lines of the block are on the screen. */
  #drawn = 0
  #nextDraw: Deadline | undefined

  constructor(target: OutputTarget, paint: Paint, clock: Clock) {
    this.#target = target
    this.#paint = paint
    this.#clock = clock
    this.#deadlines = new DeadlineQueue(clock)
  }

  /** Handles the next event. */
  show(event: RunEvent): void {
    this.#follow(event)
    if (event.type === 'progress' || event.type === 'started') return this.#drawWithin(pauseMs)
    this.#draw(eventLines(event, layoutFor(this.#total.names, this.#columns), this.#paint))
  }

  /** Erases the block and clears its timers. */
  [Symbol.dispose](): void {
    this.#rows.clear()
    this.#draw([])
    this.#deadlines[Symbol.dispose]()
  }

  /** One less than the terminal has, since some terminals break a line that fills the last column. */
  get #columns(): number {
    return (this.#target.columns || 80) - 1
  }

  #follow(event: RunEvent): void {
    this.#total.follow(event)
    switch (event.type) {
      case 'started':
        this.#rows.set(event.tool, { startedAt: this.#clock.monotonicNow(), fraction: undefined, text: '' })
        break
      case 'progress': {
        const row = this.#rows.get(event.tool)
        if (row === undefined) break
        row.fraction = event.fraction
        row.text = progressText(event.message ?? '', event.fraction)
        break
      }
      case 'retrying':
      case 'ended':
        this.#rows.delete(event.result.name)
        break
      case 'opened':
      case 'reaped':
      case 'warning':
      case 'stopping':
        break
    }
  }

  #drawWithin(delay: number): void {
    const dueAt = this.#clock.monotonicNow() + delay
    if (this.#nextDraw !== undefined && this.#nextDraw.dueAt <= dueAt) return
    this.#nextDraw?.[Symbol.dispose]()
    this.#nextDraw = this.#deadlines.at(dueAt, () => this.#draw([]))
  }

  /** Replaces the block by permanent lines and a new block. */
  #draw(lines: readonly string[]): void {
    const block = this.#block()
    const erase = this.#drawn === 0 ? '' : `\u001B[${this.#drawn}F\u001B[0J`
    this.#drawn = block.length
    this.#target.write(erase + [...lines, ...block].map((line) => `${line}\n`).join(''))
    this.#nextDraw?.[Symbol.dispose]()
    this.#nextDraw = undefined
    if (block.length > 0) this.#drawWithin(idleMs)
  }

  #block(): string[] {
    if (this.#rows.size === 0) return []
    const columns = this.#columns
    const barColumns = Math.min(widestBar, Math.max(narrowestBar, Math.floor(columns * barShare)))
    const room = Math.max(1, (this.#target.rows || 24) - 2)
    const names = [...this.#rows.keys()]
    const nameColumns = Math.min(Math.max(...names.map(widthOf)), Math.max(8, Math.floor(columns * 0.35)))
    const hasBars = [...this.#rows.values()].some(({ fraction }) => fraction !== undefined)
    const now = this.#clock.monotonicNow()
    const lines = [...this.#rows].slice(0, room).map(([name, { startedAt, fraction, text }]) => {
      const time = duration(Math.floor((now - startedAt) / pauseMs) * pauseMs)
      const progress = fraction === undefined ? ' '.repeat(barColumns) : bar(fraction, barColumns)
      const cells = [pad(fit(name, nameColumns), nameColumns), pad(time, 8), ...(hasBars ? [progress] : []), text]
      return fit(cells.join('  ').trimEnd(), columns)
    })
    const { fraction, text, waiting } = this.#total
    const total = `${bar(fraction, barColumns)}  ${text} done, ${names.length} running, ${waiting} waiting`
    return [...lines, this.#paint('dim', fit(total, columns))]
  }
}
