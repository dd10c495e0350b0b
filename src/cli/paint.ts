import { styleText } from 'node:util'

/** Gives text a colour, or leaves it as it is where colours are not wanted. */
export type Paint = (colour: 'green' | 'red' | 'yellow' | 'dim', text: string) => string

/** Terminal colours, or none. */
export function createPaint(isColoured: boolean): Paint {
  // Whether the stream shows colours was the caller's to find out: newer versions of Node ask it again.
  return isColoured ? (colour, text) => styleText(colour, text, { validateStream: false }) : (_, text) => text
}

/** What of an output stream matters for how it is written to; `process.stdout` is one. */
export interface OutputTarget {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  hasColors?(): boolean
}

/** Whether the stream is a terminal that shows colours, and nobody has asked for none: `NO_COLOR`, `FORCE_COLOR`, `TERM`. */
export function wantsColour(target: OutputTarget): boolean {
  return target.isTTY === true && target.hasColors?.() === true
}

/** Columns of a line on a terminal, 80 when it does not know its size; anything else takes lines of any length. */
export function columnsOf(target: Pick<OutputTarget, 'isTTY' | 'columns'>): number {
  return target.isTTY === true ? target.columns || 80 : Number.POSITIVE_INFINITY
}
