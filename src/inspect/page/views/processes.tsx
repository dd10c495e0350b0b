import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { place } from '../address.js'
import { Answered } from '../parts/answer.js'
import { ItemCells, ItemLink } from '../parts/item.js'
import { Rows } from '../parts/rows.js'
import { now } from '../parts/now.js'
import { relative } from '../parts/text.js'
import { useView } from '../use-view.js'

/** Processes with their owners and waiters; for the past, as far as the rows of that time tell. */
export function Processes(): JSX.Element {
  const { at } = place.value
  return at === undefined ? <ProcessesNow /> : <ProcessesThen at={at} />
}

function ProcessesThen({ at }: { readonly at: number }): JSX.Element {
  const [{ offset, limit }, setWindow] = useState({ offset: 0, limit: 60 })
  const shown = useView({ view: 'list', types: ['process'], at, offset, limit })
  return (
    <Answered of={shown}>
      {(view) => (
        <div class="list">
          <p class="notice">Leases and who waits for an end are known as they are now only.</p>
          <Rows
            label="Processes"
            empty="No process was known at that time."
            total={view.total}
            offset={view.offset}
            rows={view.rows}
            keyOf={({ id }) => id}
            onWindow={(from, many) => setWindow({ offset: from, limit: many })}
          >
            {(row) => <ItemCells row={row} />}
          </Rows>
        </div>
      )}
    </Answered>
  )
}

function ProcessesNow(): JSX.Element {
  const [{ offset, limit }, setWindow] = useState({ offset: 0, limit: 60 })
  const shown = useView({ view: 'processes', offset, limit })
  return (
    <Answered of={shown}>
      {(view) => (
        <Rows
          label="Processes"
          empty="No process has been started yet."
          total={view.total}
          offset={view.offset}
          rows={view.rows}
          keyOf={({ row }) => row.id}
          onWindow={(from, many) => setWindow({ offset: from, limit: many })}
        >
          {({ row, lease, waiters }) => (
            <ItemCells
              row={row}
              more={
                <>
                  {waiters.length > 0 && (
                    <span class="quiet">
                      waited for by{' '}
                      {waiters.map((item) => (
                        <ItemLink key={item.id} item={item} />
                      ))}
                    </span>
                  )}
                  {lease !== undefined && (
                    <span class="quiet" title={`held by ${lease.owner}, token ${lease.token}`}>
                      lease ends {relative(lease.expiresAtMs, now.value)}, held by {lease.owner}
                    </span>
                  )}
                </>
              }
            />
          )}
        </Rows>
      )}
    </Answered>
  )
}
