import { Graph as Layout, layout } from '@dagrejs/dagre'
import type { JSX } from 'preact'
import { useMemo } from 'preact/hooks'
import type { GraphNode, GraphView } from '../../stream/protocol.js'
import { ArrowHead } from '../chart/arrow-head.js'
import { hrefOf } from '../address.js'
import { cut } from '../chart/measure.js'
import { Answered } from '../parts/answer.js'
import { count } from '../parts/text.js'
import { useView } from '../use-view.js'

const size = { width: 190, height: 56 }

/** Tasks and the links between them, with the states of their last runs. */
export function TaskGraph({ task }: { readonly task: string | undefined }): JSX.Element {
  const shown = useView({ view: 'graph', limit: 200, ...(task !== undefined && { task }) })
  return (
    <Answered of={shown}>
      {(view) => (
        <>
          <p class="quiet">
            {count(view.nodes.length)} of {count(view.total)} tasks
            {task !== undefined && (
              <>
                {' '}
                around {task} · <a href={hrefOf({ screen: 'graph' })}>all</a>
              </>
            )}
          </p>
          {view.nodes.length === 0 ? <p class="quiet">No task has been submitted yet.</p> : <Picture view={view} />}
        </>
      )}
    </Answered>
  )
}

function Picture({ view }: { readonly view: GraphView }): JSX.Element {
  const { width, height, places, lines } = useMemo(() => arranged(view), [view])
  return (
    <div class="chart" tabIndex={0} role="region" aria-label="Task graph">
      <svg
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="group"
        aria-label={`${view.nodes.length} tasks`}
      >
        <ArrowHead />
        {lines.map(({ name, type, path }) => (
          <path key={name} class={`arrow edge-${type}`} d={path} marker-end="url(#arrow)">
            <title>{type}</title>
          </path>
        ))}
        {view.nodes.map((node) => (
          <Task key={node.row.id} node={node} place={places.get(node.row.id)} />
        ))}
      </svg>
    </div>
  )
}

function Task({
  node,
  place,
}: {
  readonly node: GraphNode
  readonly place: { x: number; y: number } | undefined
}): JSX.Element | null {
  if (place === undefined) return null
  const { row, gate, runs } = node
  return (
    <a href={hrefOf({ screen: 'item', item: { type: 'task', id: row.id } })}>
      <g class={`task task-${row.phase}`}>
        <title>{`${row.name}: ${row.status}`}</title>
        <rect x={place.x} y={place.y} width={size.width} height={size.height} rx={6} />
        <text x={place.x + 10} y={place.y + 20}>
          {cut(row.name, 23)}
        </text>
        <text class="note" x={place.x + 10} y={place.y + 36}>
          {cut(gate === 'open' ? row.status : `${row.status}, gate ${gate}`, 24)}
        </text>
        {runs.slice(0, 10).map((run, index) => (
          <circle key={run.id} class={`run run-${run.state}`} cx={place.x + 14 + index * 12} cy={place.y + 46} r={4}>
            <title>{`${run.state}, attempt ${run.attempt}`}</title>
          </circle>
        ))}
      </g>
    </a>
  )
}

function arranged({ nodes, edges }: GraphView): {
  readonly width: number
  readonly height: number
  readonly places: ReadonlyMap<string, { x: number; y: number }>
  readonly lines: readonly { name: string; type: string; path: string }[]
} {
  const graph = new Layout({ multigraph: true })
  graph.setGraph({ rankdir: 'LR', nodesep: 16, ranksep: 48, marginx: 12, marginy: 12 })
  const known = new Set(nodes.map(({ row }) => row.id))
  for (const { row } of nodes) graph.setNode(row.id, { ...size })
  const drawn = edges.filter(({ from, to }) => known.has(from) && known.has(to))
  for (const { from, to, type } of drawn) graph.setEdge(from, to, {}, type)
  layout(graph)
  const places = new Map(
    nodes.map(({ row }) => {
      const { x = 0, y = 0 } = graph.node(row.id) as { x?: number; y?: number }
      return [row.id, { x: x - size.width / 2, y: y - size.height / 2 }]
    }),
  )
  const lines = drawn.map(({ from, to, type }) => {
    const { points = [] } = graph.edge(from, to, type) as { points?: readonly { x: number; y: number }[] }
    return {
      name: `${type} ${from} ${to}`,
      type,
      path: points.map(({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${x},${y}`).join(' '),
    }
  })
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number }
  return { width, height, places, lines }
}
