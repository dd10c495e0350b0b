import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { ViewName } from '../stream/protocol.js'
import { goLive, goTo, hrefOf, place, refine, type Place } from './address.js'
import { connection } from './connection.js'
import { Recording } from './parts/recording.js'
import { count } from './parts/text.js'
import { nextTheme, theme } from './theme.js'
import { usePaced } from './use-paced.js'
import { Budgets, Schedules } from './views/budgets.js'
import { Feed, Feeds } from './views/feeds.js'
import { TaskGraph } from './views/graph.js'
import { Item } from './views/item.js'
import { List } from './views/list.js'
import { Machine, Machines } from './views/machines.js'
import { NodeScreen } from './views/node.js'
import { Overview } from './views/overview.js'
import { Processes } from './views/processes.js'
import { Sequence } from './views/sequence.js'
import { Waits } from './views/waits.js'

/** Screens of the menu in order; each is shown if the server has its view. Its number is its keyboard shortcut. */
const menu: readonly { readonly screen: string; readonly title: string; readonly view: ViewName }[] = [
  { screen: 'overview', title: 'Overview', view: 'overview' },
  { screen: 'list', title: 'Work', view: 'list' },
  { screen: 'machines', title: 'Charts', view: 'machines' },
  { screen: 'sequence', title: 'Messages', view: 'entries' },
  { screen: 'feeds', title: 'Feeds', view: 'feeds' },
  { screen: 'waits', title: 'Waits', view: 'waits' },
  { screen: 'graph', title: 'Tasks', view: 'graph' },
  { screen: 'budgets', title: 'Budgets', view: 'budgets' },
  { screen: 'schedules', title: 'Schedules', view: 'schedules' },
  { screen: 'processes', title: 'Processes', view: 'processes' },
  { screen: 'node', title: 'Node', view: 'node' },
]

/** Screens that are not in the menu, and the screen they belong to. */
const parents: Readonly<Record<string, string>> = { item: 'list', machine: 'machines', feed: 'feeds' }

/** Screens that can show the past. */
const travelling: ReadonlySet<string> = new Set([
  'list',
  'item',
  'machines',
  'machine',
  'sequence',
  'feeds',
  'feed',
  'waits',
  'budgets',
  'processes',
])

/** The frame around every screen: the current place, the menu, the state of the connection, and time travel. */
export function Shell(): JSX.Element {
  const hello = connection.hello.value
  const at = place.value.at
  const screens = menu.filter(({ view }) => hello?.views.includes(view) ?? view === 'overview')
  useKeyboard(screens.map(({ screen }) => screen))
  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          // The hash holds the place on the page, and must not change.
          event.preventDefault()
          document.getElementById('content')?.focus()
        }}
      >
        Skip to content
      </a>
      <header class="top">
        <strong class="brand">stateward</strong>
        <span class="source">{hello?.source.name ?? ''}</span>
        <Status />
        <Recording />
        <button
          type="button"
          class="theme"
          onClick={nextTheme}
          title="Colours: as the system has them (auto), light or dark"
        >
          theme: {theme.value}
        </button>
      </header>
      <nav aria-label="Screens">
        <ul>
          {screens.map(({ screen, title }, index) => (
            <li key={screen}>
              <a
                href={hrefOf({ screen, ...(at !== undefined && { at }) })}
                aria-current={(parents[place.value.screen] ?? place.value.screen) === screen ? 'page' : undefined}
                {...(index < 9 && { title: `${title} (${index + 1})`, 'aria-keyshortcuts': String(index + 1) })}
              >
                {title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <TimeTravel />
      <main id="content" tabIndex={-1} aria-labelledby="title">
        <Title />
        {at !== undefined && !travelling.has(place.value.screen) && (
          <p class="notice">
            This screen shows how things are now. Work, charts, messages, feeds, waits, budgets and processes go back in
            time.
          </p>
        )}
        <Screen key={keyOf(place.value)} at={place.value} />
      </main>
    </>
  )
}

/**
 * The title of the screen, also of the window. On a change of screen it gets the keyboard focus, so that screen readers
 * announce it.
 */
function Title(): JSX.Element {
  const { screen, subject, item } = place.value
  const of = menu.find((one) => one.screen === (parents[screen] ?? screen))?.title ?? 'Nothing'
  const what = item === undefined ? subject : `${item.type} ${item.id}`
  const title = what === undefined ? of : `${of}: ${what}`
  const before = useRef(title)
  useEffect(() => {
    document.title = `${title} · stateward`
    if (before.current !== title) document.getElementById('content')?.focus({ preventScroll: true })
    before.current = title
  }, [title])
  return (
    <h1 id="title" class="hidden">
      {title}
    </h1>
  )
}

/** A new subject starts with fresh component state. */
function keyOf({ screen, subject, item }: Place): string {
  return JSON.stringify([screen, subject, item])
}

function Screen({ at: { screen, subject, item } }: { readonly at: Place }): JSX.Element {
  switch (screen) {
    case 'overview':
      return <Overview />
    case 'list':
      return <List />
    case 'item':
      return item === undefined ? <Unknown /> : <Item item={item} />
    case 'machines':
      return <Machines />
    case 'machine':
      return subject === undefined ? <Unknown /> : <Machine id={subject} />
    case 'sequence':
      return <Sequence actor={subject} />
    case 'feeds':
      return <Feeds />
    case 'feed':
      return subject === undefined ? <Unknown /> : <Feed feed={subject} />
    case 'waits':
      return <Waits />
    case 'graph':
      return <TaskGraph task={subject} />
    case 'budgets':
      return <Budgets />
    case 'schedules':
      return <Schedules />
    case 'processes':
      return <Processes />
    case 'node':
      return <NodeScreen />
    default:
      return <Unknown />
  }
}

function Unknown(): JSX.Element {
  return (
    <p class="notice">
      There is nothing at this address. <a href={hrefOf({ screen: 'overview' })}>Overview</a>
    </p>
  )
}

function Status(): JSX.Element {
  const status = connection.status.value
  const missed = connection.missed.value
  const isOver = status === 'live' && connection.hello.value?.source.isLive === false
  const words = {
    connecting: 'connecting…',
    live: isOver ? 'not running' : 'live',
    ended: `ended: ${connection.farewell.value ?? ''}`,
    refused: 'refused: open the page anew with its whole address',
  }[status]
  return (
    <span class="status" role="status">
      <span class={`dot dot-${isOver ? 'over' : status}`} aria-hidden="true" /> {words}
      {missed > 0 && <span class="error"> {count(missed)} entries missed</span>}
    </span>
  )
}

/** A slider over the entries that the stream holds. Left of its right end, the past is shown. */
function TimeTravel(): JSX.Element | null {
  const hello = connection.hello.value
  const newest = usePaced(connection.entries).at(-1)?.n ?? hello?.newest ?? 0
  const oldest = usePaced(connection.oldest)
  const asked = place.value.at
  const at = asked === undefined ? undefined : Math.max(asked, oldest)
  const [isPlaying, setPlaying] = useState(false)
  useEffect(() => {
    if (!isPlaying || at === undefined) return undefined
    const timer = setTimeout(() => (at >= newest ? setPlaying(false) : refine({ at: at + 1 })), 200)
    return () => clearTimeout(timer)
  }, [isPlaying, at])
  if (newest <= 1) return null
  return (
    <section class="travel" aria-label="Time travel">
      <button
        type="button"
        disabled={(at ?? newest) <= oldest}
        onClick={() => refine({ at: Math.max(oldest, (at ?? newest) - 1) })}
      >
        back
      </button>
      <input
        type="range"
        min={oldest}
        max={newest}
        value={at ?? newest}
        aria-label="Entry of the stream"
        aria-valuetext={at === undefined ? 'now' : `after entry ${count(at)} of ${count(newest)}`}
        onInput={({ currentTarget }) => refine({ at: Number(currentTarget.value) })}
      />
      <button
        type="button"
        disabled={at === undefined || at >= newest}
        onClick={() => refine({ at: (at ?? newest) + 1 })}
      >
        forward
      </button>
      {at !== undefined && (
        <>
          <button type="button" aria-pressed={isPlaying} onClick={() => setPlaying(!isPlaying)}>
            {isPlaying ? 'pause' : 'play'}
          </button>
          <button type="button" onClick={goLive}>
            now
          </button>
        </>
      )}
      <span role="status" class="quiet">
        {at === undefined ? 'now' : `as it was after entry ${count(at)} of ${count(newest)}`}
      </span>
    </section>
  )
}

/** `/` focuses the filter, digits open screens, Escape returns to the present. */
function useKeyboard(screens: readonly string[]): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey) return
      const isWriting = event.target instanceof HTMLInputElement && !['checkbox', 'range'].includes(event.target.type)
      if (event.key === 'Escape') {
        if (isWriting) event.target.blur()
        else goLive()
        return
      }
      if (isWriting) return
      if (event.key === '/') {
        const filter = document.getElementById('filter')
        if (filter === null) return
        event.preventDefault()
        filter.focus()
        return
      }
      const screen = screens[Number(event.key) - 1]
      if (screen !== undefined && event.key !== ' ') goTo({ screen })
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [screens.join()])
}
