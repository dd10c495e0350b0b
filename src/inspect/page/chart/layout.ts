import { Graph, layout as arrange } from '@dagrejs/dagre'
import type { MachineDefinition, StateNode } from '../../stream/protocol.js'
import { text, widthOf, wrap } from './measure.js'
import { route, type RoutedArrow } from './route.js'
import type { Box, Point } from './geometry.js'
import { outline, type Arrow, type Outline } from './outline.js'

/** A state as it is drawn; states inside it follow it in the drawing's list. */
export interface StateBox extends Box {
  readonly state: StateNode
  /** The initial state: an arrow from a dot points to it. */
  readonly isInitial: boolean
  /** Lines below its name. */
  readonly notes: readonly string[]
  readonly inside: readonly string[]
}

/** An arrow as it is drawn. */
export interface ArrowLine {
  readonly from: string
  readonly to: string
  /** Horizontal from each point with an even index to the next, curved between these pairs. */
  readonly points: readonly Point[]
  /** The position of its text. */
  readonly label: Box & { readonly lines: readonly string[] }
}

/** A chart as a drawing. */
export interface Drawing {
  readonly width: number
  readonly height: number
  readonly boxes: readonly StateBox[]
  readonly arrows: readonly ArrowLine[]
}

const padding = 12
const gap = { nodes: 24, ranks: 64, edges: 14 }
const columns = 30

interface Sized {
  readonly width: number
  readonly height: number
  readonly boxes: readonly StateBox[]
  readonly arrows: readonly ArrowLine[]
}

/**
 * Draws a chart from the inside out. Each state is a box of the size of its content, and its children are laid out on
 * their own, from left to right in the order they are reached. Final states, which have no outgoing transitions, form
 * one column at the end; the regions of a parallel state, which have no transitions between them, are stacked.
 */
export function drawMachine(machine: MachineDefinition): Drawing {
  const { width, height, boxes, arrows } = sizeOf(outline(machine), false)
  return { width, height, boxes, arrows }
}

function sizeOf(node: Outline, isInitial: boolean): Sized {
  const notes = node.notes.flatMap((note) => wrap(note, columns))
  const inside = node.inside.flatMap((line) => wrap(line, columns))
  // Leaves room behind the name for the number of items in the state.
  const heading = [`${node.state.key}      `, ...notes, ...inside]
  const head = {
    width: Math.max(widthOf(heading) + 2 * padding, 64),
    height: heading.length * text.line + padding + (inside.length > 0 ? padding / 2 : 0),
  }
  const content = node.state.type === 'parallel' ? stack(node) : arrangement(node)
  const width = Math.max(head.width, content.width === 0 ? 0 : content.width + 2 * padding)
  const height = head.height + (content.height === 0 ? padding / 2 : content.height + 2 * padding)
  return {
    width,
    height,
    boxes: [
      { state: node.state, isInitial, notes, inside, x: 0, y: 0, width, height },
      ...content.boxes.map((box) => moved(box, padding, head.height + padding)),
    ],
    arrows: content.arrows.map((arrow) => movedArrow(arrow, padding, head.height + padding)),
  }
}

const nothing: Sized = { width: 0, height: 0, boxes: [], arrows: [] }

/** Stacks regions below each other. */
function stack({ children }: Outline): Sized {
  let height = 0
  let width = 0
  const boxes: StateBox[] = []
  const arrows: ArrowLine[] = []
  for (const child of children) {
    const region = sizeOf(child, false)
    if (height > 0) height += gap.nodes
    boxes.push(...region.boxes.map((box) => moved(box, 0, height)))
    arrows.push(...region.arrows.map((arrow) => movedArrow(arrow, 0, height)))
    height += region.height
    width = Math.max(width, region.width)
  }
  return { width, height, boxes, arrows }
}

/** Lays out children and the arrows between them. */
function arrangement(node: Outline): Sized {
  if (node.children.length === 0) return nothing
  const graph = new Graph({ multigraph: true })
  // Ranking by the longest path puts final states, which have no outgoing transitions, into one column.
  graph.setGraph({
    rankdir: 'LR',
    ranker: 'longest-path',
    nodesep: gap.nodes,
    ranksep: gap.ranks,
    edgesep: gap.edges,
    marginx: padding,
    marginy: padding,
  })
  const sized = new Map<string, Sized>()
  for (const child of node.children) {
    const box = sizeOf(child, child.state.id === node.state.initial)
    sized.set(child.state.id, box)
    graph.setNode(child.state.id, { width: box.width, height: box.height })
  }
  for (const arrow of node.arrows) {
    const lines = linesOf(arrow)
    graph.setEdge(arrow.from, arrow.to, {
      width: widthOf(lines) + padding,
      height: lines.length * text.line + 4,
      labelpos: 'c',
      minlen: 1,
    })
  }
  arrange(graph)

  const boxes: StateBox[] = []
  const arrows: ArrowLine[] = []
  const places = new Map<string, Box>()
  for (const child of node.children) {
    const box = sized.get(child.state.id) ?? nothing
    const place = graph.node(child.state.id)
    const [x, y] = [Number(place.x) - box.width / 2, Number(place.y) - box.height / 2]
    places.set(child.state.id, { x, y, width: box.width, height: box.height })
    boxes.push(...box.boxes.map((inner) => moved(inner, x, y)))
    arrows.push(...box.arrows.map((inner) => movedArrow(inner, x, y)))
  }
  const arranged = node.arrows.map((arrow): RoutedArrow & { lines: readonly string[] } => {
    const edge = graph.edge(arrow.from, arrow.to)
    const [width, height] = [Number(edge.width), Number(edge.height)]
    const label = { x: Number(edge.x) - width / 2, y: Number(edge.y) - height / 2, width, height }
    const points: readonly Point[] = edge.points ?? []
    return { from: arrow.from, to: arrow.to, between: points.slice(1, -1), label, lines: linesOf(arrow) }
  })
  for (const [{ from, to, label, lines }, points] of route(places, arranged))
    arrows.push({ from, to, points, label: { ...label, lines } })
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number }
  return { width, height, boxes, arrows }
}

function linesOf(arrow: Arrow): readonly string[] {
  return arrow.labels.flatMap((label) => wrap(label, columns))
}

function moved<Thing extends Point>(thing: Thing, x: number, y: number): Thing {
  return { ...thing, x: thing.x + x, y: thing.y + y }
}

function movedArrow(arrow: ArrowLine, x: number, y: number): ArrowLine {
  return { ...arrow, points: arrow.points.map((point) => moved(point, x, y)), label: moved(arrow.label, x, y) }
}
