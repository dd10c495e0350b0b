import { describe, expect, it } from 'vitest'
import type { Box } from '../../../src/inspect/page/chart/geometry.js'
import { drawMachine, type Drawing } from '../../../src/inspect/page/chart/layout.js'
import { knownMachines } from '../../../src/inspect/sources/known-machines.js'
import { chartGraph } from '../../../src/inspect/stream/chart-graph.js'
import type { MachineDefinition } from '../../../src/inspect/stream/protocol.js'

const charts: readonly MachineDefinition[] = knownMachines.map((machine) => chartGraph(machine))

const overlap = (one: Box, other: Box): boolean =>
  one.x < other.x + other.width &&
  other.x < one.x + one.width &&
  one.y < other.y + other.height &&
  other.y < one.y + one.height

const holds = (outer: Box, inner: Box): boolean =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height

/** What is wrong with a drawing. */
function faultsOf({ boxes, arrows, width, height }: Drawing): readonly string[] {
  const faults: string[] = []
  const frame = { x: 0, y: 0, width, height }
  const byId = new Map(boxes.map((box) => [box.state.id, box]))
  const labels = arrows.map(({ label, from, to }) => ({ ...label, name: `${from} to ${to}` }))
  for (const box of boxes) {
    if (!holds(frame, box)) faults.push(`${box.state.id} is outside the frame`)
    const parent = box.state.parent === undefined ? undefined : byId.get(box.state.parent)
    if (parent !== undefined && !holds(parent, box)) faults.push(`${box.state.id} is outside ${parent.state.id}`)
    for (const other of boxes)
      if (other !== box && other.state.parent === box.state.parent && overlap(box, other))
        faults.push(`${box.state.id} and ${other.state.id} overlap`)
    const isWhole = boxes.some(({ state }) => state.parent === box.state.id)
    for (const label of labels)
      if (!isWhole && overlap(box, label)) faults.push(`the label ${label.name} is over ${box.state.id}`)
  }
  for (const label of labels) {
    if (!holds(frame, label)) faults.push(`the label ${label.name} is outside the frame`)
    for (const other of labels)
      if (other !== label && overlap(label, other)) faults.push(`the labels ${label.name} and ${other.name} overlap`)
  }
  for (const { from, to, points } of arrows) {
    const name = `${from} to ${to}`
    for (const [index, point] of points.entries()) {
      const before = points[index - 1]
      if (before === undefined) continue
      // However a line is bent between two points, it stays between them.
      const around: Box = {
        x: Math.min(before.x, point.x),
        y: Math.min(before.y, point.y) - 0.5,
        width: Math.abs(before.x - point.x),
        height: Math.abs(before.y - point.y) + 1,
      }
      if (!holds(frame, around)) faults.push(`the line ${name} leaves the frame`)
      for (const label of labels)
        if (label.name !== name && overlap(around, label)) faults.push(`the line ${name} passes under ${label.name}`)
      for (const box of boxes)
        if (!contains(byId, box, from) && overlap(around, box)) faults.push(`the line ${name} crosses ${box.state.id}`)
    }
  }
  return faults
}

/** Whether a box is around a state. */
function contains(boxes: ReadonlyMap<string, Drawing['boxes'][number]>, box: Drawing['boxes'][number], id: string) {
  for (let at = boxes.get(id)?.state.parent; at !== undefined; at = boxes.get(at)?.state.parent)
    if (at === box.state.id) return true
  return false
}

describe('the drawing of a chart', () => {
  it('is made of every chart of the project', () => {
    expect(charts.length).toBeGreaterThanOrEqual(10)
  })

  it.each(charts.map((chart) => [chart.id, chart] as const))(
    'has nothing over each other and nothing outside: %s',
    (_, chart) => {
      const drawing = drawMachine(chart)
      expect(drawing.boxes.map(({ state }) => state.id).sort()).toEqual(chart.states.map(({ id }) => id).sort())
      expect(faultsOf(drawing)).toEqual([])
    },
  )

  it.each(charts.map((chart) => [chart.id, chart] as const))('shows every transition once: %s', (_, chart) => {
    const drawing = drawMachine(chart)
    const words = [
      ...drawing.boxes.flatMap(({ inside }) => inside),
      ...drawing.arrows.flatMap(({ label }) => label.lines),
    ].join(' ')
    const text = words.replaceAll('…', '')
    for (const { event } of chart.transitions) expect(text).toContain(event.slice(0, 30))
  })
})

const state = (
  id: string,
  more: Partial<MachineDefinition['states'][number]> = {},
): MachineDefinition['states'][number] => ({
  id,
  key: id.split('.').at(-1) ?? id,
  type: 'atomic',
  entry: [],
  exit: [],
  invokes: [],
  tags: [],
  ...(id.includes('.') && { parent: id.slice(0, id.lastIndexOf('.')) }),
  ...more,
})

describe('the parts of a drawing', () => {
  const drawing = drawMachine({
    id: 'm',
    states: [
      state('m', { type: 'compound', initial: 'm.a' }),
      state('m.a'),
      state('m.b', { type: 'parallel' }),
      state('m.b.left', { type: 'compound', initial: 'm.b.left.x' }),
      state('m.b.left.x'),
      state('m.b.right', { type: 'compound', initial: 'm.b.right.y' }),
      state('m.b.right.y'),
      state('m.done', { type: 'final' }),
      state('m.failed', { type: 'final' }),
    ],
    transitions: [
      { source: 'm', event: 'reset', targets: ['m.a'], actions: [] },
      { source: 'm.a', event: 'poke', targets: ['m.a'], guard: 'isAwake', actions: ['count'] },
      { source: 'm.a', event: 'note', targets: [], actions: [] },
      { source: 'm.a', event: 'go', targets: ['m.b'], actions: [] },
      { source: 'm.a', event: 'fail', targets: ['m.failed'], actions: [] },
      { source: 'm.b.left.x', event: 'finish', targets: ['m.done'], actions: [] },
      { source: 'm.b', event: 'fail', targets: ['m.failed'], actions: [] },
    ],
  })
  const box = (id: string): Drawing['boxes'][number] => {
    const found = drawing.boxes.find((one) => one.state.id === id)
    if (found === undefined) throw new Error(`${id} is not drawn`)
    return found
  }

  it('lists what stays in the box of its state, and what the root does in that of the root', () => {
    expect(box('m.a').inside).toEqual(['poke [isAwake] / count', 'note'])
    expect(box('m').inside).toEqual(['reset → a'])
  })

  it('stands regions below each other and final states in one column', () => {
    expect(box('m.b.right').y).toBeGreaterThan(box('m.b.left').y + box('m.b.left').height)
    expect(box('m.b.right').x).toBe(box('m.b.left').x)
    const middle = ({ x, width }: Box): number => Math.round(x + width / 2)
    expect(middle(box('m.done'))).toBe(middle(box('m.failed')))
    expect(box('m.done').x).toBeGreaterThan(box('m.b').x + box('m.b').width)
  })

  it('says of an arrow from inside a box where it begins', () => {
    expect(drawing.arrows.map(({ from, to, label }) => [from, to, label.lines])).toEqual([
      ['m.a', 'm.b', ['go']],
      ['m.a', 'm.failed', ['fail']],
      ['m.b', 'm.done', ['x: finish']],
      ['m.b', 'm.failed', ['fail']],
    ])
    expect(box('m.a').isInitial).toBe(true)
    expect(box('m.b').isInitial).toBe(false)
  })
})
