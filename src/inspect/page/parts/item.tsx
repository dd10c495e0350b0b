import type { JSX } from 'preact'
import type { ItemPhase, ItemRef, ItemRow, Progress } from '../../stream/protocol.js'
import { hrefOf, place } from '../address.js'

/** Where something stands, in a word and a colour. */
export function Phase({ phase, status }: { readonly phase: ItemPhase; readonly status?: string }): JSX.Element {
  return <span class={`phase phase-${phase}`}>{status ?? phase}</span>
}

/** A link to an item, by its name or its id. */
export function ItemLink({ item, name }: { readonly item: ItemRef; readonly name?: string }): JSX.Element {
  const { type, id, session } = item
  const at = place.value.at
  const plain: ItemRef = { type, id, ...(session !== undefined && { session }) }
  return (
    <a
      class="item-link"
      href={hrefOf({ screen: 'item', item: plain, ...(at !== undefined && { at }) })}
      title={`${type} ${id}`}
    >
      {name ?? id}
    </a>
  )
}

/** How far something says it is. */
export function ProgressBar({ progress }: { readonly progress: Progress }): JSX.Element {
  const { message, fraction } = progress
  return (
    <span class="progress">
      {fraction !== undefined && <progress value={fraction} max={1} aria-label={message} />}
      <span class="quiet">{message}</span>
    </span>
  )
}

/** One line about an item. */
export function ItemLine({ row }: { readonly row: ItemRow }): JSX.Element {
  return (
    <>
      <Phase phase={row.phase} status={row.status} />
      <ItemLink item={row} name={row.name} />
      <span class="quiet kind">{row.kind}</span>
      {row.attempt !== undefined && row.attempt > 1 && <span class="quiet">attempt {row.attempt}</span>}
      {row.progress !== undefined && <ProgressBar progress={row.progress} />}
      {row.waitsFor !== undefined && <span class="quiet">waits for {row.waitsFor}</span>}
      {row.error !== undefined && <span class="error">{row.error}</span>}
    </>
  )
}
