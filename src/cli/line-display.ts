import type { Clock } from '../base/clock.js'
import { eventLines, progressText } from './event-text.js'
import { layoutFor, row, type Layout } from './layout.js'
import { columnsOf, type OutputTarget, type Paint } from './paint.js'
import type { RunEvent } from './run-events.js'
import { RunTotal } from './run-total.js'

/** Minimum milliseconds between two progress lines of one tool. */
const progressPauseMs = 1000

/** Prints a run in plain lines, for logs and for terminals that cannot redraw. */
export class LineDisplay implements Disposable {
  readonly #target: OutputTarget
  readonly #paint: Paint
  readonly #clock: Clock
  readonly #total = new RunTotal()
  /** When a tool's progress was last printed, in monotonic milliseconds. */
  readonly #toldAt = new Map<string, number>()

  constructor(target: OutputTarget, paint: Paint, clock: Clock) {
    this.#target = target
    this.#paint = paint
    this.#clock = clock
  }

  /** Handles the next event. */
  show(event: RunEvent): void {
    this.#total.follow(event)
    const layout = layoutFor(this.#total.names, columnsOf(this.#target))
    const lines =
      event.type === 'progress'
        ? this.#progressLines(event, layout)
        : eventLines(event, layout, this.#paint, `(${this.#total.text})`)
    if (lines.length > 0) this.#target.write(lines.map((line) => `${line}\n`).join(''))
  }

  [Symbol.dispose](): void {}

  #progressLines(event: Extract<RunEvent, { type: 'progress' }>, layout: Layout): string[] {
    const { tool, message = '', fraction } = event
    const now = this.#clock.monotonicNow()
    if (now - (this.#toldAt.get(tool) ?? Number.NEGATIVE_INFINITY) < progressPauseMs) return []
    this.#toldAt.set(tool, now)
    return row(layout, '', tool, progressText(message, fraction)).map((line) => this.#paint('dim', line))
  }
}
