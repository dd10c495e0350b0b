import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { ActionName, ActionRequest, HistoryRow, ItemRef, ItemView } from '../../stream/protocol.js'
import { hrefOf, place } from '../address.js'
import { Chart } from '../chart/chart.js'
import { connection } from '../connection.js'
import { Answered } from '../parts/answer.js'
import { ItemLine, ItemLink } from '../parts/item.js'
import { now } from '../parts/now.js'
import { relative } from '../parts/text.js'
import { Fields } from '../parts/value.js'
import { When } from '../parts/when.js'
import { useView } from '../use-view.js'

/** One item: its state, the actions on it, its chart, related items and its whole history. */
export function Item({ item }: { readonly item: ItemRef }): JSX.Element {
  const { at } = place.value
  const shown = useView({ view: 'item', item })
  const past = useView(at === undefined ? undefined : { view: 'list', text: item.id, types: [item.type], at })
  const then = past.view?.rows.find(({ id, session }) => id === item.id && session === item.session)
  return (
    <Answered of={shown}>
      {(view) =>
        view.row === null ? (
          <p class="notice">
            There is no {item.type} {item.id}.
          </p>
        ) : (
          <>
            <header class="item">
              {at === undefined ? (
                <ItemLine row={view.row} />
              ) : then === undefined ? (
                past.view !== undefined && <span class="quiet">It was not known at that time.</span>
              ) : (
                <ItemLine row={then} />
              )}
            </header>
            {at !== undefined && <p class="notice">Below its chart, and in its fields, is how it is now.</p>}
            <Actions item={item} names={at === undefined ? view.actions : []} />
            <Facts view={view} />
            {view.chart !== undefined && <OwnChart {...view.chart} actor={view.actor} item={item} />}
            {view.childCount > 0 && (
              <section>
                <h2>Parts ({view.childCount})</h2>
                <ul class="plain lines">
                  {view.children.map((row) => (
                    <li key={`${row.type} ${row.id}`}>
                      <ItemLine row={row} />
                    </li>
                  ))}
                </ul>
              </section>
            )}
            <History item={item} />
          </>
        )
      }
    </Answered>
  )
}

function Facts({ view }: { readonly view: ItemView }): JSX.Element {
  const { row, details } = view
  const times = [
    ['created', row?.createdAtMs],
    ['started', row?.startedAtMs],
    ['ended', row?.endedAtMs],
  ] as const
  return (
    <section>
      <dl class="facts narrow">
        <div>
          <dt>id</dt>
          <dd>
            <code>{row?.id}</code>
          </dd>
        </div>
        {row?.parent !== undefined && (
          <div>
            <dt>parent</dt>
            <dd>
              <ItemLink item={row.parent} />
            </dd>
          </div>
        )}
        {row?.owner !== undefined && (
          <div>
            <dt>owner</dt>
            <dd>{row.owner}</dd>
          </div>
        )}
        {times.map(
          ([name, atMs]) =>
            atMs !== undefined && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>
                  {relative(atMs, now.value)} <When at={atMs} />
                </dd>
              </div>
            ),
        )}
      </dl>
      <Fields of={details} />
    </section>
  )
}

/** The chart of an item, highlighting the state of the item, or the past state of its actor. */
function OwnChart(properties: {
  readonly machine: string
  readonly states: readonly string[]
  readonly actor: string | undefined
  readonly item: ItemRef
}): JSX.Element {
  const { machine, states, actor, item } = properties
  const { at } = place.value
  const shown = useView({ view: 'machine', machine })
  const past = useView(at === undefined ? undefined : { view: 'actors', machine, text: item.id, at })
  const then = past.view?.rows.find((row) => row.item?.id === item.id && row.item.session === item.session)?.states
  return (
    <section>
      <h2>
        <a href={hrefOf({ screen: 'machine', subject: machine })}>Chart</a>
      </h2>
      <Answered of={shown}>
        {(view) =>
          view.machine !== null && (
            <Chart machine={view.machine} occupancy={Object.fromEntries((then ?? states).map((state) => [state, 1]))} />
          )
        }
      </Answered>
      {actor !== undefined && <a href={hrefOf({ screen: 'sequence', subject: actor })}>Messages</a>}
    </section>
  )
}

const pageSize = 200

function History({ item }: { readonly item: ItemRef }): JSX.Element {
  const [limit, setLimit] = useState(pageSize)
  const shown = useView({ view: 'history', item, limit: Math.min(500, limit) })
  return (
    <section>
      <h2>History</h2>
      <Answered of={shown}>
        {(view) => (
          <>
            {view.notice !== undefined && <p class="notice">{view.notice}</p>}
            <ol class="history">
              {view.rows.map((row, index) => (
                <li key={index}>
                  <Step row={row} />
                </li>
              ))}
            </ol>
            {view.total > view.rows.length && (
              <button type="button" onClick={() => setLimit(limit + pageSize)} disabled={limit >= 500}>
                more of {view.total}
              </button>
            )}
          </>
        )}
      </Answered>
    </section>
  )
}

function Step({ row }: { readonly row: HistoryRow }): JSX.Element {
  const { sequence, atMs, name, item, data } = row
  return (
    <>
      {atMs !== undefined && <When at={atMs} />} <strong>{name}</strong>{' '}
      {sequence !== undefined && <span class="quiet">#{sequence}</span>}{' '}
      {item !== undefined && <ItemLink item={item} />}
      {data !== undefined && Object.keys(data).length > 0 && (
        <details>
          <summary class="quiet">data</summary>
          <Fields of={data} />
        </details>
      )}
    </>
  )
}

const sayable: Readonly<Record<ActionName, boolean>> = {
  cancel: true,
  terminate: true,
  retry: true,
  answer: false,
  pause: false,
  resume: false,
}

function Actions({
  item,
  names,
}: {
  readonly item: ItemRef
  readonly names: readonly ActionName[]
}): JSX.Element | null {
  const allowed = connection.hello.value?.actions ?? []
  const [said, setSaid] = useState('')
  const possible = names.filter((name) => allowed.includes(name) && sayable[name])
  if (possible.length === 0) return null
  const act = async (action: ActionName): Promise<void> => {
    try {
      const answer = await connection.act({ action, item } as ActionRequest)
      setSaid(answer.item === undefined ? `${action}: done` : `${action}: ${answer.item.id}`)
    } catch (error) {
      setSaid(error instanceof Error ? error.message : String(error))
    }
  }
  return (
    <p class="actions">
      {possible.map((name) => (
        <button key={name} type="button" onClick={() => void act(name)}>
          {name}
        </button>
      ))}
      <output>{said}</output>
    </p>
  )
}
