import type { JSX } from 'preact'
import type { ActorRow, StreamEntry } from '../../stream/protocol.js'
import { hrefOf, place, refine } from '../address.js'
import { connection } from '../connection.js'
import { Answered } from '../parts/answer.js'
import { Rows } from '../parts/rows.js'
import { clockTime } from '../parts/text.js'
import { usePaced } from '../use-paced.js'
import { useView } from '../use-view.js'

const mostEntries = 200
const mostLanes = 6
/** In pixels; must match the style sheet. */
const laneWidth = 110

/** Messages between actors, newest at the bottom: who sent what to whom, what was refused and what it led to. */
export function Sequence({ actor }: { readonly actor: string | undefined }): JSX.Element {
  const { text, at } = place.value
  const recent = usePaced(connection.entries)
  const isLive = actor === undefined && text === '' && at === undefined
  const asked = useView(
    {
      view: 'entries',
      limit: mostEntries,
      ...(actor !== undefined && { actor }),
      ...(text !== '' && { text }),
      ...(at !== undefined && { before: at + 1 }),
    },
    isLive,
  )
  // Long-running actors were announced long ago.
  const hasActors = connection.hello.value?.views.includes('actors') === true
  const known = useView(hasActors ? { view: 'actors', limit: 500 } : undefined, true)
  return (
    <div class="list">
      {actor !== undefined && (
        <p class="quiet">
          Of and by one actor · <a href={hrefOf({ screen: 'sequence', ...(at !== undefined && { at }) })}>all</a>
        </p>
      )}
      <form class="filter" role="search" onSubmit={(event) => event.preventDefault()}>
        <input
          id="filter"
          type="search"
          value={text}
          maxLength={256}
          placeholder="words in events and actors ( / )"
          aria-label="Filter"
          onInput={({ currentTarget }) => refine({ text: currentTarget.value })}
        />
      </form>
      <Answered of={asked}>
        {(view) => {
          const live = isLive ? recent : []
          const newest = view.entries.at(-1)?.n ?? 0
          const entries = isLive ? [...view.entries, ...live.filter(({ n }) => n > newest)] : view.entries
          return <Messages entries={entries.slice(-mostEntries)} known={known.view?.rows ?? []} />
        }}
      </Answered>
    </div>
  )
}

/** The receiver in an entry. Facts have no actor; each has a lane for its topic. */
function laneOf(entry: StreamEntry): string | undefined {
  switch (entry.type) {
    case 'actor':
    case 'transition':
    case 'refused':
    case 'end':
      return entry.actor
    case 'fact':
      return entry.topic
    case 'row':
    case 'part':
    case 'gap':
      return undefined
  }
}

function wordsOf(entry: StreamEntry): string {
  switch (entry.type) {
    case 'actor':
      return 'begins'
    case 'transition':
      return `${entry.event.type} → ${entry.states.map((state) => state.split('.').at(-1)).join(', ')}`
    case 'refused':
      return `${entry.event.type} refused: ${entry.reason}`
    case 'end':
      return `ends: ${entry.status}`
    case 'fact':
      return entry.name
    case 'row':
      return `${entry.row.name} is ${entry.row.status}`
    case 'part':
      return entry.part
    case 'gap':
      return `${entry.n - entry.from + 1} entries are missing (${entry.reason})`
  }
}

/** The sender in an entry: of an event, or the actor that started another. */
function senderOf(entry: StreamEntry): string | undefined {
  switch (entry.type) {
    case 'transition':
    case 'refused':
      return entry.source
    case 'actor':
      return entry.parent
    default:
      return undefined
  }
}

/**
 * The lanes of actors; each message row shows a piece of them. Those with the latest messages come first, the others
 * scroll out of view.
 */
interface LanesOf {
  readonly names: ReadonlyMap<string, string>
  readonly lanes: readonly string[]
}

function Messages({
  entries,
  known,
}: {
  readonly entries: readonly StreamEntry[]
  readonly known: readonly ActorRow[]
}): JSX.Element {
  const shown = entries.filter(({ type }) => type !== 'row' && type !== 'part')
  const names = new Map(known.map(({ actor: id, name }) => [id, name]))
  for (const entry of entries) if (entry.type === 'actor') names.set(entry.actor, entry.name)
  const told = new Set(shown.toReversed().flatMap((entry) => laneOf(entry) ?? []))
  const of: LanesOf = { names, lanes: [...told].slice(0, mostLanes) }
  return (
    <Rows
      label="Messages"
      empty="No message yet."
      total={shown.length}
      offset={0}
      rows={shown}
      keyOf={({ n }) => String(n)}
      onWindow={() => {}}
      isFollowed
      head={<Heads of={of} />}
    >
      {(entry) => <Message entry={entry} of={of} />}
    </Rows>
  )
}

function Heads({ of: { lanes, names } }: { readonly of: LanesOf }): JSX.Element {
  return (
    <div class="lanes" aria-hidden="true">
      {lanes.map((lane) => (
        <span key={lane} title={names.get(lane) ?? lane}>
          {names.get(lane) ?? lane}
        </span>
      ))}
    </div>
  )
}

function Message({ entry, of }: { readonly entry: StreamEntry; readonly of: LanesOf }): JSX.Element {
  const lane = laneOf(entry)
  const name = lane === undefined ? undefined : (of.names.get(lane) ?? lane)
  const words = wordsOf(entry)
  return (
    <div class={`message message-${entry.type}`}>
      <span class="quiet time">
        {entry.n} {clockTime(entry.atMs)}
      </span>
      <span class="words" title={words}>
        {entry.type === 'fact' || lane === undefined ? (
          <span class="quiet">{name}</span>
        ) : (
          <a href={hrefOf({ screen: 'sequence', subject: lane })}>{name}</a>
        )}{' '}
        {words}
      </span>
      <Lines entry={entry} of={of} />
    </div>
  )
}

/** The lines of a message: one for each actor, a dot for the receiver, and an arrow from the sender. */
function Lines({ entry, of: { lanes } }: { readonly entry: StreamEntry; readonly of: LanesOf }): JSX.Element {
  const [lane, source] = [laneOf(entry), senderOf(entry)]
  const x = (name: string | undefined): number | undefined => {
    const index = name === undefined ? -1 : lanes.indexOf(name)
    return index < 0 ? undefined : index * laneWidth + laneWidth / 2
  }
  const [to, from] = [x(lane), x(source)]
  return (
    <svg class="message-lines" width={mostLanes * laneWidth} height={36} aria-hidden="true">
      {lanes.map((name, index) => (
        <line key={name} class="lane" x1={index * laneWidth + laneWidth / 2} x2={x(name)} y1={0} y2={36} />
      ))}
      {to !== undefined && from !== undefined && from !== to && (
        <>
          <line class="arrow" x1={from} x2={to} y1={18} y2={18} />
          <path class="head" d={from < to ? `M${to - 12},13 l8,5 l-8,5 z` : `M${to + 12},13 l-8,5 l8,5 z`} />
        </>
      )}
      {to !== undefined && <circle cx={to} cy={18} r={4} />}
    </svg>
  )
}
