import { styleText } from 'node:util'

/** Colours text, or returns it unchanged if colours are off. */
export type Paint = (colour: 'green' | 'red' | 'yellow' | 'dim', text: string) => string

/** Terminal colours, or none. */
export function createPaint(isColoured: boolean): Paint {
  // The caller has already decided about colours; newer versions of Node would check the stream again.
  return isColoured ? (colour, text) => styleText(colour, text, { validateStream: false }) : (_, text) => text
}

/** The parts of an output stream that decide how to write to it; `process.stdout` is one. */
export interface OutputTarget {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  hasColors?(): boolean
}

/**
 * True if the stream is a terminal that shows colours and the environment does not turn them off: `NO_COLOR`,
 * `FORCE_COLOR`, `TERM`.
 */
export function wantsColour(target: OutputTarget): boolean {
  return target.isTTY === true && target.hasColors?.() === true
}

/** Columns of a terminal, 80 if it does not know its size; other outputs have no limit. */
export function columnsOf(target: Pick<OutputTarget, 'isTTY' | 'columns'>): number {
  return target.isTTY === true ? target.columns || 80 : Number.POSITIVE_INFINITY
}
