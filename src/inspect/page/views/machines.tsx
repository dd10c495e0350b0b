import type { JSX } from 'preact'
import type { ActorRow } from '../../stream/protocol.js'
import { hrefOf, place } from '../address.js'
import { Chart } from '../chart/chart.js'
import { connection } from '../connection.js'
import { Answered } from '../parts/answer.js'
import { ItemLink } from '../parts/item.js'
import { Table } from '../parts/table.js'
import { count } from '../parts/text.js'
import { useView } from '../use-view.js'

/** All charts. */
export function Machines(): JSX.Element {
  const { at } = place.value
  const shown = useView({ view: 'machines', ...(at !== undefined && { at }) })
  return (
    <Answered of={shown}>
      {(view) => (
        <Table
          label="Charts"
          rows={view.machines}
          keyOf={({ id }) => id}
          columns={[
            {
              title: 'chart',
              cell: ({ id }) => (
                <a href={hrefOf({ screen: 'machine', subject: id, ...(at !== undefined && { at }) })}>{id}</a>
              ),
            },
            { title: 'states', isNumber: true, cell: ({ states }) => count(states) },
            {
              title: at === undefined ? 'in it now' : 'in it then',
              isNumber: true,
              cell: ({ actors }) => count(actors),
            },
          ]}
        />
      )}
    </Answered>
  )
}

/** One chart, highlighting the states that its items are in: now, or in the past. */
export function Machine({ id }: { readonly id: string }): JSX.Element {
  const { at } = place.value
  const time = at === undefined ? {} : { at }
  const shown = useView({ view: 'machine', machine: id, ...time })
  // From outside its process no actor can be seen.
  const hasActors = connection.hello.value?.views.includes('actors') === true
  const actors = useView(hasActors ? { view: 'actors', machine: id, limit: 100, ...time } : undefined)
  return (
    <Answered of={shown}>
      {({ machine, occupancy }) =>
        machine === null ? (
          <p class="notice">There is no chart {id}.</p>
        ) : (
          <>
            <Chart machine={machine} occupancy={occupancy} />
            {hasActors && (
              <>
                <h2>Actors</h2>
                <Answered of={actors}>{(answer) => <Actors rows={answer.rows} />}</Answered>
              </>
            )}
          </>
        )
      }
    </Answered>
  )
}

function Actors({ rows }: { readonly rows: readonly ActorRow[] }): JSX.Element {
  if (rows.length === 0) return <p class="quiet">No actor is in this chart.</p>
  return (
    <Table
      label="Actors"
      rows={rows}
      keyOf={({ actor }) => actor}
      columns={[
        {
          title: 'actor',
          cell: ({ actor, name }) => <a href={hrefOf({ screen: 'sequence', subject: actor })}>{name}</a>,
        },
        { title: 'state', cell: ({ states }) => states.map((state) => state.split('.').at(-1)).join(', ') },
        { title: 'status', cell: ({ status }) => status },
        { title: 'about', cell: ({ item }) => item !== undefined && <ItemLink item={item} /> },
      ]}
    />
  )
}
