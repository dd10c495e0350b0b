import type { Box, Point } from './geometry.js'

/** An arrow whose label has its place. */
export interface RoutedArrow {
  readonly from: string
  readonly to: string
  readonly label: Box
  /** Where it goes through the columns between its ends; one of these is the middle of its label. */
  readonly between: readonly Point[]
}

/** From left to right: what stands in one column of the drawing, from its left edge to its right one. */
interface Column {
  readonly left: number
  readonly right: number
}

/**
 * Lines of arrows that pass under no label and through no box but those that they belong to. The layout has put boxes and labels
 * into columns, and given every arrow a height of its own in each column that it goes through: a line is level from the left edge of
 * a column to its right one, and changes its height between two columns only, where nothing stands. At its ends it leaves a box
 * on the side of where it goes, at a place of its own.
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

/** Boxes that share a part of the width stand in one column. */
function columnsOf(boxes: readonly Box[]): readonly Column[] {
  const columns: Column[] = []
  for (const { x, width } of [...boxes].sort((one, other) => one.x - other.x)) {
    const last = columns.at(-1)
    if (last === undefined || x >= last.right) columns.push({ left: x, right: x + width })
    else columns[columns.length - 1] = { left: last.left, right: Math.max(last.right, x + width) }
  }
  return columns
}

/** Where each arrow leaves its box, and where it enters one: spread over the side, in the order of where they come from. */
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
