import type { JSX } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import type { StreamEntry } from '../../stream/protocol.js'
import { place, refine } from '../address.js'
import { connection } from '../connection.js'
import { Answered } from '../parts/answer.js'
import { clockTime } from '../parts/text.js'
import { cut } from '../chart/measure.js'
import { usePaced } from '../use-paced.js'
import { useView } from '../use-view.js'

const mostEntries = 200
const mostLanes = 12
const size = { row: 26, lane: 130, words: 170, left: 520, top: 40 }

/** Messages between actors, newest at the bottom: who told whom what, what was refused and what it led to. */
export function Sequence({ actor }: { readonly actor: string | undefined }): JSX.Element {
  const { text, at } = place.value
  const recent = usePaced(connection.entries)
  const isLive = actor === undefined && text === '' && at === undefined
  const asked = useView({
    view: 'entries',
    limit: mostEntries,
    ...(actor !== undefined && { actor }),
    ...(text !== '' && { text }),
    ...(at !== undefined && { before: at + 1 }),
  })
  return (
    <>
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
          return <Lanes entries={entries.slice(-mostEntries)} isAtEnd={at === undefined} />
        }}
      </Answered>
    </>
  )
}

/** Who is told in an entry; facts have no actor, they stand in a lane of their part of the house. */
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
    case 'gap':
      return undefined
  }
}

function wordsOf(entry: StreamEntry): string {
  switch (entry.type) {
    case 'actor':
      return `${entry.name} begins`
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
    case 'gap':
      return `${entry.n - entry.from + 1} entries are missing (${entry.reason})`
  }
}

/** Who tells in an entry: the sender of an event, or who has begun an actor. */
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

/** The words stand in a column of their own, so that they are read whatever lane is out of sight. */
function Lanes({
  entries,
  isAtEnd,
}: {
  readonly entries: readonly StreamEntry[]
  readonly isAtEnd: boolean
}): JSX.Element {
  const frame = useRef<HTMLDivElement>(null)
  const isFollowing = useRef(true)
  const shown = entries.filter(({ type }) => type !== 'row')
  const newest = shown.at(-1)?.n
  useLayoutEffect(() => {
    const element = frame.current
    if (element !== null && isAtEnd && isFollowing.current) element.scrollTop = element.scrollHeight
  }, [newest, isAtEnd])
  const names = new Map<string, string>()
  for (const entry of shown) if (entry.type === 'actor') names.set(entry.actor, entry.name)
  const lanes = [...new Set(shown.flatMap((entry) => laneOf(entry) ?? []))].slice(-mostLanes)
  const x = (lane: string): number => size.left + lanes.indexOf(lane) * size.lane + size.lane / 2
  const width = size.left + Math.max(1, lanes.length) * size.lane
  const height = shown.length * size.row + 10
  if (shown.length === 0) return <p class="quiet">No message yet.</p>
  return (
    <div
      class="chart"
      ref={frame}
      tabIndex={0}
      role="region"
      aria-label="Messages"
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isFollowing.current = scrollTop + clientHeight > scrollHeight - size.row
      }}
    >
      <svg class="lanes" width={width} height={size.top} aria-hidden="true">
        {lanes.map((lane) => (
          <text key={lane} x={x(lane)} y={24} text-anchor="middle">
            <title>{lane}</title>
            {cut(names.get(lane) ?? lane, 17)}
          </text>
        ))}
      </svg>
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={`${shown.length} messages between ${lanes.length} actors`}
      >
        {lanes.map((lane) => (
          <g key={lane} class="lane">
            <line x1={x(lane)} x2={x(lane)} y1={0} y2={height} />
          </g>
        ))}
        {shown.map((entry, index) => (
          <Message key={entry.n} entry={entry} y={index * size.row + size.row / 2} x={x} lanes={lanes} width={width} />
        ))}
      </svg>
    </div>
  )
}

interface MessageProperties {
  readonly entry: StreamEntry
  readonly y: number
  readonly x: (lane: string) => number
  readonly lanes: readonly string[]
  readonly width: number
}

function Message({ entry, y, x, lanes, width }: MessageProperties): JSX.Element {
  const lane = laneOf(entry)
  const source = senderOf(entry)
  const to = lane !== undefined && lanes.includes(lane) ? x(lane) : undefined
  const from = source !== undefined && lanes.includes(source) ? x(source) : undefined
  const words = wordsOf(entry)
  return (
    <g class={`message message-${entry.type}`}>
      <text class="time" x={4} y={y + 4}>
        {entry.n} {clockTime(entry.atMs)}
      </text>
      {entry.type === 'gap' && <line class="gap" x1={size.left} x2={width} y1={y} y2={y} />}
      {to !== undefined && from !== undefined && from !== to && (
        <line class="arrow" x1={from} x2={to + (from < to ? -5 : 5)} y1={y} y2={y} />
      )}
      {to !== undefined && <circle cx={to} cy={y} r={4} />}
      <text x={size.words} y={y + 4}>
        <title>{words}</title>
        {cut(words, 46)}
      </text>
    </g>
  )
}
