import type { JSX } from 'preact'
import { connection } from '../connection.js'
import type { ItemRow } from '../../stream/protocol.js'
import { place } from '../address.js'
import { now } from './now.js'
import { duration, instant } from './text.js'

/** An instant: the local time of day, with the date if it is another day; the full instant on demand. */
export function When({ at }: { readonly at: number }): JSX.Element {
  const date = new Date(at)
  const isKnown = !Number.isNaN(date.getTime())
  return (
    <time class="quiet" {...(isKnown && { dateTime: date.toISOString(), title: date.toISOString() })}>
      {instant(at, now.value)}
    </time>
  )
}

/** How long an item took, or has been running; for past states, when it started. */
export function Age({ row }: { readonly row: ItemRow }): JSX.Element | null {
  const since = row.startedAtMs ?? row.createdAtMs
  if (since === undefined) return null
  const title = `since ${instant(since, now.value)}`
  const isNow = place.value.at === undefined && connection.hello.value?.source.isLive !== false
  if (row.endedAtMs === undefined && !isNow)
    return <span class="quiet age">{`since ${instant(since, now.value).replace(/\.\d+$/, '')}`}</span>
  const untilMs = row.endedAtMs ?? now.value
  return (
    <span class="quiet age" title={title}>
      {duration(Math.max(0, untilMs - since))}
    </span>
  )
}
