import type { Box, Point } from './geometry.js'

/** An arrow whose label has been placed. */
export interface RoutedArrow {
  readonly from: string
  readonly to: string
  readonly label: Box
  /** The points on its way through the columns between its ends; one of them is the middle of its label. */
  readonly between: readonly Point[]
}

/** A column of the drawing, from its left edge to its right edge; columns are ordered from left to right. */
interface Column {
  readonly left: number
  readonly right: number
}

/**
 * Routes arrows so that none crosses a label, or a box other than its ends. The layout has arranged boxes and labels in
 * columns, and given every arrow a height of its own in each column that it crosses. A line is horizontal from the left
 * edge of a column to its right edge, and changes its height only between columns, where nothing is. It leaves and
 * enters a box on the side facing its other end, at a point of its own.
 */
export function route<Arrow extends RoutedArrow>(
  boxes: ReadonlyMap<string, Box>,
  arrows: readonly Arrow[],
): readonly (readonly [Arrow, readonly Point[]])[] {
  const columns = columnsOf([...boxes.values(), ...arrows.map(({ label }) => label)])
  const columnAt = (x: number): Column =>
    columns.find(({ left, right }) => left <= x && x <= right) ?? { left: x, right: x }
  const ports = portsOf(boxes, arrows)
  return arrows.map((arrow, index) => {
    const [start, end] = [ports.get(`${index} from`), ports.get(`${index} to`)]
    if (start === undefined || end === undefined) return [arrow, arrow.between]
    const isForward = start.x < end.x
    const across = ({ x, y }: Point): readonly Point[] => {
      const { left, right } = columnAt(x)
      return isForward
        ? [
            { x: left, y },
            { x: right, y },
          ]
        : [
            { x: right, y },
            { x: left, y },
          ]
    }
    const [, out = start] = across(start)
    const [into = end] = across(end)
    return [arrow, [start, out, ...arrow.between.flatMap(across), into, end]]
  })
}

/** Boxes that overlap horizontally form one column. */
function columnsOf(boxes: readonly Box[]): readonly Column[] {
  const columns: Column[] = []
  for (const { x, width } of [...boxes].sort((one, other) => one.x - other.x)) {
    const last = columns.at(-1)
    if (last === undefined || x >= last.right) columns.push({ left: x, right: x + width })
    else columns[columns.length - 1] = { left: last.left, right: Math.max(last.right, x + width) }
  }
  return columns
}

/** Where each arrow leaves and enters its boxes: spread along the side, sorted by where the other ends are. */
function portsOf(boxes: ReadonlyMap<string, Box>, arrows: readonly RoutedArrow[]): ReadonlyMap<string, Point> {
  const sides = new Map<string, { readonly name: string; readonly box: Box; readonly isRight: boolean; y: number }[]>()
  for (const [index, { from, to, between, label }] of arrows.entries()) {
    const [source, target] = [boxes.get(from), boxes.get(to)]
    if (source === undefined || target === undefined) continue
    const isForward = source.x < target.x
    for (const [name, box, isRight, next] of [
      [`${index} from`, source, isForward, between[0]],
      [`${index} to`, target, !isForward, between.at(-1)],
    ] as const) {
      const side = `${name.endsWith('from') ? from : to} ${isRight}`
      const ends = sides.get(side) ?? []
      ends.push({ name, box, isRight, y: next?.y ?? label.y })
      sides.set(side, ends)
    }
  }
  const ports = new Map<string, Point>()
  for (const ends of sides.values()) {
    ends.sort((one, other) => one.y - other.y)
    for (const [place, { name, box, isRight }] of ends.entries())
      ports.set(name, {
        x: isRight ? box.x + box.width : box.x,
        y: box.y + (box.height * (place + 1)) / (ends.length + 1),
      })
  }
  return ports
}
