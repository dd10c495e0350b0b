import type { JSX } from 'preact'
import type { NodeFact } from '../../stream/protocol.js'
import { Answered } from '../parts/answer.js'
import { ItemLine } from '../parts/item.js'
import { Fields } from '../parts/value.js'
import { When } from '../parts/when.js'
import { useView } from '../use-view.js'

/** What this node should be doing, what it does, and what operators asked of it. */
export function NodeScreen(): JSX.Element {
  const shown = useView({ view: 'node' })
  return (
    <Answered of={shown}>
      {(view) => (
        <>
          <h2>{view.name}</h2>
          <Fields of={view.details} />
          {view.notice !== undefined && <p class="notice">{view.notice}</p>}
          <h2>Daemons ({view.daemons.length})</h2>
          {view.daemons.length === 0 && <p class="quiet">none</p>}
          <ul class="plain lines">
            {view.daemons.map(({ row, desired, restart }) => (
              <li key={row.id}>
                <ItemLine row={row} />
                <span class="quiet">
                  {desired === 'nothing' ? 'neither to run nor to stop' : `should ${desired}`}
                  {restart === 'backing_off' && ', waits before it is started again'}
                  {restart === 'crash_looping' && ', keeps crashing: not restarted for a while'}
                </span>
              </li>
            ))}
          </ul>
          <NodeFacts title="Maintenance" facts={view.maintenance} />
          <NodeFacts title="Audit" facts={view.audit} />
        </>
      )}
    </Answered>
  )
}

function NodeFacts({ title, facts }: { readonly title: string; readonly facts: readonly NodeFact[] }): JSX.Element {
  return (
    <section>
      <h2>{title}</h2>
      {facts.length === 0 && <p class="quiet">none</p>}
      <ol class="history">
        {facts.map(({ name, atMs, status, data }, index) => (
          <li key={index}>
            {atMs !== null && <When at={atMs} />} <strong>{name}</strong> {status}
            {data !== undefined && (
              <details>
                <summary class="quiet">data</summary>
                <Fields of={data} />
              </details>
            )}
          </li>
        ))}
      </ol>
    </section>
  )
}
