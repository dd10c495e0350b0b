import { fit, pad, widthOf, wrap } from './text.js'

/** Columns of the word that says what became of a tool. */
const markColumns = 11
const gap = '  '
/** Least columns for what is said of a tool; a terminal that is narrower still breaks the lines itself. */
const leastTextColumns = 12

/** How wide the columns of a table about tools are. */
export interface Layout {
  /** Columns of a line; without bound when nothing says how many there are. */
  readonly columns: number
  readonly nameColumns: number
}

/** A layout for tools with these names. */
export function layoutFor(names: readonly string[], columns: number): Layout {
  const widest = Math.max(0, ...names.map(widthOf))
  const room = columns - markColumns - 2 * gap.length
  return { columns, nameColumns: Math.min(widest, Math.max(8, Math.floor(room * 0.45))) }
}

/**
 * A line about a tool: a mark, a name, and a text that goes on below itself where the line is full. A name that is too long
 * for its column is cut.
 */
export function row({ columns, nameColumns }: Layout, mark: string, name: string, text: string): string[] {
  const textColumns = Math.max(leastTextColumns, columns - markColumns - nameColumns - 2 * gap.length)
  const [first = '', ...rest] = wrap(text, textColumns)
  const head = `${pad(mark, markColumns)}${gap}${pad(fit(name, nameColumns), nameColumns)}${gap}`
  const indent = ' '.repeat(markColumns + nameColumns + 2 * gap.length)
  return [`${head}${first}`.trimEnd(), ...rest.map((line) => indent + line)]
}
