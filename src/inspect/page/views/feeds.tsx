import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { FeedRow } from '../../stream/protocol.js'
import { hrefOf, place } from '../address.js'
import { connection } from '../connection.js'
import { Answered } from '../parts/answer.js'
import { ItemLink } from '../parts/item.js'
import { Rows } from '../parts/rows.js'
import { Table } from '../parts/table.js'
import { count } from '../parts/text.js'
import { When } from '../parts/when.js'
import { useView } from '../use-view.js'

/** Every completion feed, with what it keeps and how far its readers are. */
export function Feeds(): JSX.Element {
  const { at } = place.value
  const shown = useView({ view: 'feeds', ...(at !== undefined && { at }) })
  return (
    <Answered of={shown}>
      {(view) =>
        view.feeds.length === 0 ? (
          <p class="quiet">No feed yet.</p>
        ) : (
          <Table
            label="Feeds of ends"
            rows={view.feeds}
            keyOf={({ feed }) => feed}
            columns={[
              { title: 'feed', cell: ({ feed }) => <FeedLink feed={feed} /> },
              { title: 'last end', isNumber: true, cell: ({ watermark }) => `#${count(watermark)}` },
              { title: 'ends kept', isNumber: true, cell: ({ kept }) => count(kept) },
              {
                title: 'dropped',
                isNumber: true,
                cell: ({ droppedThrough }) => (droppedThrough === 0 ? 'none' : `up to #${count(droppedThrough)}`),
              },
              { title: 'readers', cell: (row) => <Readers of={row} /> },
            ]}
          />
        )
      }
    </Answered>
  )
}

/** In a recording a feed has no rows of its own. */
function FeedLink({ feed }: { readonly feed: string }): JSX.Element {
  const { at } = place.value
  if (connection.hello.value?.views.includes('feed') !== true) return <>{feed}</>
  return <a href={hrefOf({ screen: 'feed', subject: feed, ...(at !== undefined && { at }) })}>{feed}</a>
}

function Readers({ of: { cursors, droppedThrough, watermark } }: { readonly of: FeedRow }): JSX.Element {
  return (
    <div>
      {cursors.map(({ name, position }) => (
        <div key={name} class={position < droppedThrough ? 'error' : ''}>
          {name} at #{count(position)}
          {position < watermark && `, ${count(watermark - position)} behind`}
          {position < droppedThrough && ', a gap'}
        </div>
      ))}
    </div>
  )
}

/** The last completions of one feed. */
export function Feed({ feed }: { readonly feed: string }): JSX.Element {
  const [{ offset, limit }, setWindow] = useState({ offset: 0, limit: 60 })
  const { at } = place.value
  const shown = useView({ view: 'feed', feed, offset, limit, ...(at !== undefined && { at }) })
  return (
    <Answered of={shown}>
      {(view) => (
        <div class="list">
          <h2>Ends of {feed}, the last first</h2>
          <Rows
            label={`Ends of ${feed}`}
            empty="Nothing has ended yet."
            total={view.total}
            offset={view.offset}
            rows={view.rows}
            keyOf={({ seq }) => String(seq)}
            onWindow={(from, many) => setWindow({ offset: from, limit: many })}
          >
            {({ seq, item, name, kind, outcome, atMs }) => (
              <>
                <span class="quiet seq">#{count(seq)}</span>
                <span class={`phase phase-${outcome}`}>{outcome}</span>
                <ItemLink item={item} name={name} />
                <span class="quiet kind">{kind}</span>
                <span class="about">{atMs !== null && <When at={atMs} />}</span>
              </>
            )}
          </Rows>
        </div>
      )}
    </Answered>
  )
}
