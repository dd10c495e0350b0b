import type { ComponentChildren, JSX } from 'preact'
import type { ItemPhase, ItemRef, ItemRow, Progress } from '../../stream/protocol.js'
import { hrefOf, place } from '../address.js'
import { Age } from './when.js'

/** The phase of an item, as a word and a colour. */
export function Phase({ phase, status }: { readonly phase: ItemPhase; readonly status?: string }): JSX.Element {
  // Its room says "running" for a run that waits, and for one that was lost with its process; the phase says more.
  const word = phase === 'lost' || (phase === 'waiting' && status === 'running') ? phase : (status ?? phase)
  return <span class={`phase phase-${phase}`}>{word.replaceAll('_', ' ')}</span>
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

/** The progress that an item has reported. */
export function ProgressBar({ progress }: { readonly progress: Progress }): JSX.Element {
  const { message, fraction } = progress
  return (
    <span class="progress">
      {fraction !== undefined && <progress value={fraction} max={1} aria-label={message} />}
      <span class="quiet">{message}</span>
    </span>
  )
}

/** The cells of an item's row in a long list, with the same columns in every row. */
export function ItemCells({ row, more }: { readonly row: ItemRow; readonly more?: ComponentChildren }): JSX.Element {
  return (
    <>
      <Phase phase={row.phase} status={row.status} />
      <ItemLink item={row} name={row.name} />
      <span class="quiet kind">{row.kind}</span>
      <span class="about">
        <About row={row} />
        {more}
      </span>
      <Age row={row} />
    </>
  )
}

/** One line about an item. */
export function ItemLine({ row }: { readonly row: ItemRow }): JSX.Element {
  return (
    <>
      <Phase phase={row.phase} status={row.status} />
      <ItemLink item={row} name={row.name} />
      <span class="quiet kind">{row.kind}</span>
      <About row={row} />
    </>
  )
}

/** Details of an item besides its name: its progress, what it waits for, its error. */
function About({ row }: { readonly row: ItemRow }): JSX.Element {
  return (
    <>
      {row.error !== undefined && (
        <span class="error" title={row.error}>
          {row.error}
        </span>
      )}
      {row.attempt !== undefined && row.attempt > 1 && <span class="quiet">attempt {row.attempt}</span>}
      {row.progress !== undefined && <ProgressBar progress={row.progress} />}
      {row.waitsFor !== undefined && <span class="quiet">waits for {row.waitsFor}</span>}
    </>
  )
}
