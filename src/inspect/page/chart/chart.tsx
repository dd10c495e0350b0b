import type { JSX } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import type { MachineDefinition } from '../../stream/protocol.js'
import { ArrowHead } from './arrow-head.js'
import type { Point } from './geometry.js'
import { drawMachine, type ArrowLine, type StateBox } from './layout.js'
import { litStates } from './lit.js'
import { text } from './measure.js'

/** The smallest scale of a drawing; its text would be illegible below it. */
const leastScale = 0.66

interface Properties {
  readonly machine: MachineDefinition
  /** The number of items in each innermost state; the states around them are highlighted as well. */
  readonly occupancy: Readonly<Record<string, number>>
}

/**
 * A chart with highlighted states where items are. It is scaled down to fit the width, but not below legibility, until
 * its full size is asked for.
 */
export function Chart({ machine, occupancy }: Properties): JSX.Element {
  const drawing = useMemo(() => drawMachine(machine), [machine])
  const lit = useMemo(() => litStates(machine, occupancy), [machine, occupancy])
  const [isFull, setFull] = useState(false)
  const { width, height, boxes, arrows } = drawing
  return (
    <>
      <button type="button" class="zoom" aria-pressed={isFull} onClick={() => setFull(!isFull)}>
        full size
      </button>
      <div
        class={isFull ? 'chart' : 'chart fitted'}
        style={{ '--least': `${Math.ceil(width * leastScale)}px` }}
        tabIndex={0}
        role="region"
        aria-label={`Chart ${machine.id}`}
      >
        <svg
          width={width}
          height={height}
          viewBox={`0 0 ${width} ${height}`}
          role="img"
          aria-label={describe(machine, lit)}
        >
          <ArrowHead />
          {boxes.map((box) => (
            <State key={box.state.id} box={box} here={lit.get(box.state.id)} />
          ))}
          {arrows.map((arrow) => (
            <path key={`${arrow.from} ${arrow.to}`} class="arrow" d={curve(arrow.points)} marker-end="url(#arrow)" />
          ))}
          {arrows.map((arrow) => (
            <Label key={`${arrow.from} ${arrow.to}`} arrow={arrow} />
          ))}
        </svg>
      </div>
    </>
  )
}

function State({ box, here }: { readonly box: StateBox; readonly here: number | undefined }): JSX.Element {
  const { state, x, y, width, height, notes, inside, isInitial } = box
  const isInside = state.type === 'atomic' || state.type === 'final'
  const classes = ['state', `state-${state.type}`, here === undefined ? '' : isInside ? 'lit here' : 'lit']
    .filter(Boolean)
    .join(' ')
  const line = (index: number): number => y + 6 + text.line * (index + 1) - 5
  return (
    <g class={classes} data-state={state.id} data-here={here}>
      <title>{state.description ?? state.id}</title>
      <rect x={x} y={y} width={width} height={height} rx={8} />
      {state.type === 'final' && (
        <rect class="inner" x={x + 3} y={y + 3} width={width - 6} height={height - 6} rx={6} />
      )}
      {isInitial && <circle class="initial" cx={x} cy={y} r={5} />}
      <text class="name" x={x + 12} y={line(0)}>
        {state.key}
      </text>
      {here !== undefined && here > 1 && (
        <text class="count" x={x + width - 10} y={line(0)} text-anchor="end">
          {here}
        </text>
      )}
      {notes.map((note, index) => (
        <text key={`note ${index}`} class="note" x={x + 12} y={line(index + 1)}>
          {note}
        </text>
      ))}
      {inside.map((words, index) => (
        <text key={`inside ${index}`} class="inside" x={x + 12} y={line(index + 1 + notes.length) + 4}>
          {words}
        </text>
      ))}
    </g>
  )
}

function Label({ arrow }: { readonly arrow: ArrowLine }): JSX.Element {
  const { x, y, width, height, lines } = arrow.label
  return (
    <g class="label">
      <rect x={x} y={y} width={width} height={height} rx={4} />
      {lines.map((words, index) => (
        <text key={index} x={x + width / 2} y={y + text.line * (index + 1) - 3} text-anchor="middle">
          {words}
        </text>
      ))}
    </g>
  )
}

/** A line through the points: horizontal between two at the same height, a gentle curve otherwise. */
function curve(points: readonly Point[]): string {
  return points
    .map(({ x, y }, index) => {
      const before = points[index - 1]
      if (before === undefined) return `M${x},${y}`
      const middle = (before.x + x) / 2
      return before.y === y ? `L${x},${y}` : `C${middle},${before.y} ${middle},${y} ${x},${y}`
    })
    .join(' ')
}

function describe(machine: MachineDefinition, lit: ReadonlyMap<string, number>): string {
  const names = machine.states.filter(({ id }) => lit.has(id)).map(({ key }) => key)
  return names.length === 0 ? `${machine.id}: nothing is in it` : `${machine.id}, now in ${names.join(', ')}`
}
