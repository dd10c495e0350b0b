import type { Clock } from '../base/clock.js'
import { eventLines, progressText } from './event-text.js'
import type { OutputTarget, Paint } from './paint.js'
import type { RunEvent } from './run-events.js'
import { pad } from './text.js'

/** Least milliseconds between two lines about the progress of one tool. */
const progressPauseMs = 1000

/** Tells a run in plain lines, for logs and for terminals that cannot redraw. */
export class LineDisplay implements Disposable {
  readonly #target: OutputTarget
  readonly #paint: Paint
  readonly #clock: Clock
  /** When a tool's progress was last told, in monotonic milliseconds. */
  readonly #toldAt = new Map<string, number>()

  constructor(target: OutputTarget, paint: Paint, clock: Clock) {
    this.#target = target
    this.#paint = paint
    this.#clock = clock
  }

  /** Takes the next event. */
  show(event: RunEvent): void {
    const lines = event.type === 'progress' ? this.#progressLines(event) : eventLines(event, this.#paint)
    if (lines.length > 0) this.#target.write(lines.map((line) => `${line}\n`).join(''))
  }

  [Symbol.dispose](): void {}

  #progressLines({ tool, message = '', percent }: Extract<RunEvent, { type: 'progress' }>): string[] {
    const now = this.#clock.monotonicNow()
    if (now - (this.#toldAt.get(tool) ?? Number.NEGATIVE_INFINITY) < progressPauseMs) return []
    this.#toldAt.set(tool, now)
    return [this.#paint('dim', `${pad('', 11)}  ${tool}  ${progressText(message, percent)}`)]
  }
}
