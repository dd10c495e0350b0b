import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { hrefOf } from '../address.js'
import { Answered } from '../parts/answer.js'
import { ItemLink } from '../parts/item.js'
import { Rows } from '../parts/rows.js'
import { clockTime, count } from '../parts/text.js'
import { useView } from '../use-view.js'

/** Every feed of ends, with what it keeps and how far its readers are. */
export function Feeds(): JSX.Element {
  const shown = useView({ view: 'feeds' })
  return (
    <Answered of={shown}>
      {(view) =>
        view.feeds.length === 0 ? (
          <p class="quiet">No feed yet.</p>
        ) : (
          <table>
            <thead>
              <tr>
                <th>feed</th>
                <th>last</th>
                <th>kept</th>
                <th>dropped through</th>
                <th>readers</th>
              </tr>
            </thead>
            <tbody>
              {view.feeds.map(({ feed, watermark, kept, droppedThrough, cursors }) => (
                <tr key={feed}>
                  <td>
                    <a href={hrefOf({ screen: 'feed', subject: feed })}>{feed}</a>
                  </td>
                  <td>{count(watermark)}</td>
                  <td>{count(kept)}</td>
                  <td>{count(droppedThrough)}</td>
                  <td>
                    {cursors.map(({ name, position }) => (
                      <div key={name} class={position < droppedThrough ? 'error' : ''}>
                        {name} at {count(position)}, {count(watermark - position)} behind
                        {position < droppedThrough && ', a gap'}
                      </div>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )
      }
    </Answered>
  )
}

/** The last ends of one feed. */
export function Feed({ feed }: { readonly feed: string }): JSX.Element {
  const [{ offset, limit }, setWindow] = useState({ offset: 0, limit: 60 })
  const shown = useView({ view: 'feed', feed, offset, limit })
  return (
    <Answered of={shown}>
      {(view) => (
        <div class="list">
          <h2>Ends of {feed}, the last first</h2>
          <Rows
            label={`Ends of ${feed}`}
            total={view.total}
            offset={view.offset}
            rows={view.rows}
            keyOf={({ seq }) => String(seq)}
            onWindow={(from, many) => setWindow({ offset: from, limit: many })}
          >
            {({ seq, item, name, kind, outcome, atMs }) => (
              <>
                <span class="quiet">#{seq}</span>
                <span class={`phase phase-${outcome}`}>{outcome}</span>
                <ItemLink item={item} name={name} />
                <span class="quiet kind">{kind}</span>
                {atMs !== null && <time class="quiet">{clockTime(atMs)}</time>}
              </>
            )}
          </Rows>
        </div>
      )}
    </Answered>
  )
}
