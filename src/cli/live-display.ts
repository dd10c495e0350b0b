import type { Clock } from '../base/clock.js'
import { DeadlineQueue, type Deadline } from '../base/deadline-queue.js'
import { eventLines, progressText } from './event-text.js'
import type { OutputTarget, Paint } from './paint.js'
import type { RunEvent } from './run-events.js'
import { count, duration, fit, pad, widthOf } from './text.js'

/** Milliseconds between two pictures. */
const pauseMs = 100
/** Milliseconds after which running times are shown anew although nothing has happened. */
const idleMs = 1000

interface Row {
  readonly startedAt: number
  text: string
}

/**
 * Tells a run on a terminal: what has happened scrolls by, and a block below it shows what is running,
 * drawn anew in place. No line of the block is wider than the terminal: a wrapped one could not be taken back.
 */
export class LiveDisplay implements Disposable {
  readonly #target: OutputTarget
  readonly #paint: Paint
  readonly #clock: Clock
  readonly #deadlines: DeadlineQueue
  readonly #rows = new Map<string, Row>()
  #waiting = 0
  /** Lines of the block that is on the screen. */
  #drawn = 0
  #nextDraw: Deadline | undefined

  constructor(target: OutputTarget, paint: Paint, clock: Clock) {
    this.#target = target
    this.#paint = paint
    this.#clock = clock
    this.#deadlines = new DeadlineQueue(clock)
  }

  /** Takes the next event. */
  show(event: RunEvent): void {
    this.#follow(event)
    if (event.type === 'progress' || event.type === 'started') return this.#drawWithin(pauseMs)
    this.#draw(eventLines(event, this.#paint))
  }

  /** Takes the block off the screen and leaves no timer behind. */
  [Symbol.dispose](): void {
    this.#rows.clear()
    this.#draw([])
    this.#deadlines[Symbol.dispose]()
  }

  #follow(event: RunEvent): void {
    switch (event.type) {
      case 'opened':
        this.#waiting = event.toRun
        break
      case 'started':
        this.#waiting -= 1
        this.#rows.set(event.tool, { startedAt: this.#clock.monotonicNow(), text: '' })
        break
      case 'progress': {
        const row = this.#rows.get(event.tool)
        if (row !== undefined) row.text = progressText(event.message ?? '', event.percent)
        break
      }
      case 'ended':
        this.#rows.delete(event.result.name)
        break
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

  /** Replaces the block by the lines, which stay, and a new block. */
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
    // A terminal that does not know its size says 0.
    const columns = this.#target.columns || 80
    const rows = this.#target.rows || 24
    const room = Math.max(1, rows - 2)
    const names = [...this.#rows.keys()]
    const width = Math.max(...names.map(widthOf))
    const now = this.#clock.monotonicNow()
    const lines = [...this.#rows].slice(0, room).map(([name, { startedAt, text }]) => {
      const time = duration(Math.floor((now - startedAt) / pauseMs) * pauseMs)
      return fit(`${pad(name, width)}  ${pad(time, 8)}  ${text}`.trimEnd(), columns - 1)
    })
    const rest = `${count(names.length, 'tool')} running, ${this.#waiting} waiting`
    return [...lines, this.#paint('dim', fit(rest, columns - 1))]
  }
}
