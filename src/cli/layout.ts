import { fit, pad, widthOf, wrap } from './text.js'

/** Width in columns of the word for a tool's status. */
const markColumns = 11
const gap = '  '
/** Minimum width in columns of a tool's text; a narrower terminal breaks the lines itself. */
const leastTextColumns = 12

/** Column widths of a table of tools. */
export interface Layout {
  /** Width of a line in columns; unlimited if the output does not state one. */
  readonly columns: number
  readonly nameColumns: number
}

/** The layout for tools with these names. */
export function layoutFor(names: readonly string[], columns: number): Layout {
  const widest = Math.max(0, ...names.map(widthOf))
  const room = columns - markColumns - 2 * gap.length
  return { columns, nameColumns: Math.min(widest, Math.max(8, Math.floor(room * 0.45))) }
}

/**
 * The lines about a tool: a mark, a name, and a text that is wrapped within its column. A name that is too long for its
 * column is cut.
 */
export function row({ columns, nameColumns }: Layout, mark: string, name: string, text: string): string[] {
  const textColumns = Math.max(leastTextColumns, columns - markColumns - nameColumns - 2 * gap.length)
  const [first = '', ...rest] = wrap(text, textColumns)
  const head = `${pad(mark, markColumns)}${gap}${pad(fit(name, nameColumns), nameColumns)}${gap}`
  const indent = ' '.repeat(markColumns + nameColumns + 2 * gap.length)
  return [`${head}${first}`.trimEnd(), ...rest.map((line) => indent + line)]
}
